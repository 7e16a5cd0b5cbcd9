/* t[i,j] = a[j,i]. A square of SIDE × SIDE is turned by four perfect shuffles of all its numbers,
   each of which moves one bit of a number's row to its column: 2⁴ = SIDE. */
enum { SIDE = 16, SQUARE = SIDE * SIDE };

SIZED void shuffle(const real *restrict from, real *restrict into)
{
    SIMD()
    for (idx q = 0; q < SQUARE / 2; q++) {
        into[2 * q] = from[q];
        into[2 * q + 1] = from[q + SQUARE / 2];
    }
}

/* A square at a, of which rows × columns numbers are there, turned; zeros fill the others up. */
SIZED void turned_square(idx rows, idx columns, const real *restrict a, idx a_row, real *restrict t)
{
    real now[SQUARE], next[SQUARE];
    if (rows < SIDE || columns < SIDE) {
        memset(now, 0, sizeof now);
    }
    for (idx p = 0; p < rows; p++) {
        memcpy(now + p * SIDE, a + p * a_row, (size_t)columns * sizeof(real));
    }
    shuffle(now, next);
    shuffle(next, now);
    shuffle(now, next);
    shuffle(next, t);
}

static void turn(idx rows, idx columns, const real *restrict a, idx a_row, real *restrict t,
    idx t_row)
{
    for (idx j = 0; j < columns; j += SIDE) {
        const idx right = columns - j < SIDE ? columns - j : SIDE;
        for (idx i = 0; i < rows; i += SIDE) {
            const idx down = rows - i < SIDE ? rows - i : SIDE;
            const real *from = a + j * a_row + i;
            real *into = t + i * t_row + j, whole[SQUARE];
            if (right == SIDE && down == SIDE) {  // sizes that are known
                turned_square(SIDE, SIDE, from, a_row, whole);
            } else if (down == SIDE) {
                turned_square(right, SIDE, from, a_row, whole);
            } else {
                turned_square(right, down, from, a_row, whole);
            }
            for (idx p = 0; p < down; p++) {
                if (right == SIDE) {
                    memcpy(into + p * t_row, whole + p * SIDE, SIDE * sizeof(real));
                } else {
                    memcpy(into + p * t_row, whole + p * SIDE, (size_t)right * sizeof(real));
                }
            }
        }
    }
}
