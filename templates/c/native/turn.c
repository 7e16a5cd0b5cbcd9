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

SIZED void turn(idx rows, idx columns, const real *restrict a, idx a_row, real *restrict t,
    idx t_row)
{
    const idx down = rows - rows % SIDE, right = columns - columns % SIDE;
    for (idx j = 0; j < right; j += SIDE) {
        for (idx i = 0; i < down; i += SIDE) {
            real now[SQUARE], next[SQUARE];
            for (idx p = 0; p < SIDE; p++) {
                for (idx q = 0; q < SIDE; q++) {
                    now[p * SIDE + q] = a[(j + p) * a_row + i + q];
                }
            }
            shuffle(now, next);
            shuffle(next, now);
            shuffle(now, next);
            shuffle(next, now);
            for (idx p = 0; p < SIDE; p++) {
                for (idx q = 0; q < SIDE; q++) {
                    t[(i + p) * t_row + j + q] = now[p * SIDE + q];
                }
            }
        }
    }
    for (idx i = 0; i < rows; i++) {
        for (idx j = i < down ? right : 0; j < columns; j++) {
            t[i * t_row + j] = a[j * a_row + i];
        }
    }
}
