/* c[i,j] = Σ_k a[i,k]·b[k,j], of at most HEIGHT rows where those of a are neighbours. What is
   needed of b is copied, DEPTH rows at a time, in strips; so is what is needed of a, where that
   doesn't run along its rows. */
enum { DEPTH = 256, STRIPS = 8 };

static void block(idx rows, idx columns, idx inner, const real *restrict a, idx a_row,
    idx a_inner, const real *restrict b, idx b_inner, idx b_column, real *restrict c, idx c_row,
    int more)
{
    real near[STRIPS * DEPTH * TILE], beside[DEPTH * HEIGHT];
    for (idx done = 0; done < inner; done += DEPTH) {
        const idx depth = inner - done < DEPTH ? inner - done : DEPTH;
        const real *from = a + done * a_inner;
        for (idx k = 0; a_row == 1 && k < depth; k++) {
            memcpy(beside + k * HEIGHT, from + k * a_inner, (size_t)rows * sizeof(real));
        }
        for (idx j = 0; j < columns; j += STRIPS * TILE) {
            const idx wide = columns - j < STRIPS * TILE ? columns - j : STRIPS * TILE;
            strips(depth, wide, b + done * b_inner + j * b_column, b_inner, b_column, near);
            in_strips(rows, wide, depth, a_row == 1 ? beside : from, a_row,
                a_row == 1 ? HEIGHT : a_inner, near, c + j, c_row, more || done);
        }
    }
}
