/* A copy of b in strips of TILE columns, the last filled up with zeros: each is read in order by a
   product. b's neighbours stand b_inner and b_column apart, one of which is 1. */
static void strips(idx inner, idx columns, const real *restrict b, idx b_inner, idx b_column,
    real *restrict near)
{
    for (idx j = 0; j < columns; j += TILE, near += inner * TILE) {
        const idx wide = columns - j < TILE ? columns - j : TILE;
        const real *from = b + j * b_column;
        if (wide < TILE) {
            memset(near, 0, (size_t)(inner * TILE) * sizeof(real));
        }
        if (b_column != 1) {
            turn(inner, wide, from, b_column, near, TILE);
        }
        for (idx k = 0; b_column == 1 && k < inner; k++) {
            if (wide == TILE) {  // a size that is known is copied without a call
                memcpy(near + k * TILE, from + k * b_inner, TILE * sizeof(real));
            } else {
                memcpy(near + k * TILE, from + k * b_inner, (size_t)wide * sizeof(real));
            }
        }
    }
}
