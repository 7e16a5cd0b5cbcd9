/* c[i,j] = Σ_k a[i,k]·b[k,j] with b in strips, each `inner` rows tall. */
enum { HEIGHT = 96 };

static void in_strips(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    idx a_inner, const real *restrict near, real *restrict c, idx c_row, int more)
{
    for (idx done = 0; done < rows; done += HEIGHT) {
        const idx height = rows - done < HEIGHT ? rows - done : HEIGHT;
        const real *from = a + done * a_row;
        real last[HEIGHT * TILE];
        for (idx j = 0; j < columns; j += TILE) {
            const int fits = j + TILE <= columns;
            real *into = c + done * c_row + j;
            strip(height, TILE, inner, from, a_row, a_inner, near + j * inner, TILE,
                fits ? into : last, fits ? c_row : TILE, fits && more);
            for (idx i = 0; !fits && i < height; i++) {
                for (idx q = 0; q < columns - j; q++) {
                    into[i * c_row + q] = last[i * TILE + q] + (more ? into[i * c_row + q] : 0);
                }
            }
        }
    }
}
