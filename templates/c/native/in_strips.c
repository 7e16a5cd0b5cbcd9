/* c[i,j] = Σ_k a[i,k]·b[k,j] with b in strips, each `inner` rows tall. */
enum { HEIGHT = 192, NEAREST = 8192 };  // NEAREST: numbers that the nearest cache holds

static void in_strips(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    idx a_inner, const real *restrict near, real *restrict c, idx c_row, int more)
{
    const idx step = inner * columns <= NEAREST ? ROWS : HEIGHT;  // all of b stays, or a strip
    for (idx done = 0; done < rows; done += step) {
        const idx height = rows - done < step ? rows - done : step;
        const real *from = a + done * a_row;
        real last[HEIGHT * TILE];
        for (idx j = 0; j < columns; j += TILE) {
            const idx wide = columns - j < TILE ? columns - j : TILE;
            const int whole = wide == TILE;
            real *into = c + done * c_row + j;
            if (wide > TILE / 2) {
                strip(height, TILE, inner, from, a_row, a_inner, near + j * inner, TILE,
                    whole ? into : last, whole ? c_row : TILE, whole && more);
            } else {
                strip(height, TILE / 2, inner, from, a_row, a_inner, near + j * inner, TILE, last,
                    TILE, 0);
            }
            for (idx i = 0; !whole && i < height; i++) {
                for (idx q = 0; q < wide; q++) {
                    into[i * c_row + q] = last[i * TILE + q] + (more ? into[i * c_row + q] : 0);
                }
            }
        }
    }
}
