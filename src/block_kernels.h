/* Moving and combining blocks: columns into rows, outcomes without the missing ones, portfolios of assets. */

#define CS_ROWS_AHEAD 24 /* rows fetched early: a memory access takes as long as moving so many */

/* out[c out_stride + t] = x[t stride + c] for c < columns, t < n: columns of a matrix in C order as contiguous rows. The
 * caller chooses few columns, so that the rows stay in the second-level cache and every line read is used whole. */
CS_INLINE void gather_columns_of(const void *x, int is_f32, ptrdiff_t stride, size_t columns, size_t n, double *out,
                                 size_t out_stride) {
    size_t t = 0, whole = columns / CS_LANES * CS_LANES;
    ptrdiff_t width = is_f32 ? 4 : 8;
    vd none = vd_set(0.0);
    for (; t + CS_LANES <= n; t += CS_LANES) {
        /* Rows lie far apart: no prefetcher of the processor sees them coming. */
        for (size_t k = 0; k < CS_LANES; k++) {
            const char *ahead = (const char *)x + (ptrdiff_t)(t + k + CS_ROWS_AHEAD) * stride * width;
            if (t + k + CS_ROWS_AHEAD < n)
                for (size_t c = 0; c < columns * (size_t)width + 63; c += 64) prefetch_far(ahead + c);
        }
        for (size_t c = 0; c < whole; c += CS_LANES) {
            vd r[CS_LANES];
            for (size_t k = 0; k < CS_LANES; k++) {
                ptrdiff_t at = (ptrdiff_t)(t + k) * stride;
                r[k] = is_f32 ? outcomes_load((const float *)x + at, 1, c, none)
                              : outcomes_load((const double *)x + at, 0, c, none);
            }
            vd_transpose(r);
            for (size_t k = 0; k < CS_LANES; k++) vd_store(out + (c + k) * out_stride + t, r[k]);
        }
        for (size_t c = whole; c < columns; c++)
            for (size_t k = 0; k < CS_LANES; k++) {
                ptrdiff_t at = (ptrdiff_t)(t + k) * stride + (ptrdiff_t)c;
                out[c * out_stride + t + k] = is_f32 ? (double)((const float *)x)[at] : ((const double *)x)[at];
            }
    }
    for (; t < n; t++)
        for (size_t c = 0; c < columns; c++) {
            ptrdiff_t at = (ptrdiff_t)t * stride + (ptrdiff_t)c;
            out[c * out_stride + t] = is_f32 ? (double)((const float *)x)[at] : ((const double *)x)[at];
        }
}

static void kernel_gather_columns(const void *x, int is_f32, ptrdiff_t stride, size_t columns, size_t n, double *out,
                                  size_t out_stride) {
    if (is_f32)
        gather_columns_of(x, 1, stride, columns, n, out, out_stride);
    else
        gather_columns_of(x, 0, stride, columns, n, out, out_stride);
}

/* The outcomes that are no NaN, flipped; a dropped outcome takes its weight along (weights may be NULL). */
static size_t kernel_drop_missing(const cs_outcomes *x, const double *weights, double *out, double *out_weights) {
    vd flip = flip_lanes(x->flip);
    size_t i = 0, m = 0;
    for (; i + CS_LANES <= x->n; i += CS_LANES) {
        vd v = outcomes_load(x->data, x->is_f32, i, flip);
        vm present = vd_eq(v, v);
        if (weights) vd_append(out_weights + m, present, vd_load(weights + i));
        m += vd_append(out + m, present, v);
    }
    for (; i < x->n; i++) {
        double v = outcome_at(x, i);
        out[m] = v;
        if (weights) out_weights[m] = weights[i];
        m += v == v;
    }
    return m;
}

#define CS_PORTFOLIO_TILE 4

/* out[p n + s] = weights[p, 0] columns[0, s] + weights[p, 1] columns[1, s] + ..., added in this order with every product
 * rounded, so that the bits are those of the plain loop. n: a multiple of 16. */
static void kernel_portfolio_block(const double *columns, size_t n_assets, size_t n, const double *weights,
                                   size_t n_portfolios, double *out) {
    for (size_t p = 0; p < n_portfolios; p += CS_PORTFOLIO_TILE) {
        size_t tile = n_portfolios - p < CS_PORTFOLIO_TILE ? n_portfolios - p : CS_PORTFOLIO_TILE;
        const double *w = weights + p * n_assets;
        if (tile == CS_PORTFOLIO_TILE) {
            /* Two vectors of scenarios by four portfolios: enough sums in flight to hide the latency of an addition. */
            for (size_t s = 0; s < n; s += 2 * CS_LANES) {
                vd sums[CS_PORTFOLIO_TILE][2];
                for (size_t k = 0; k < CS_PORTFOLIO_TILE; k++) sums[k][0] = sums[k][1] = vd_set(0.0);
                for (size_t j = 0; j < n_assets; j++) {
                    vd u = vd_load(columns + j * n + s), v = vd_load(columns + j * n + s + CS_LANES);
                    for (size_t k = 0; k < CS_PORTFOLIO_TILE; k++) {
                        vd share = vd_set(w[k * n_assets + j]);
                        sums[k][0] = vd_add(sums[k][0], vd_mul(share, u));
                        sums[k][1] = vd_add(sums[k][1], vd_mul(share, v));
                    }
                }
                for (size_t k = 0; k < CS_PORTFOLIO_TILE; k++) {
                    vd_store(out + (p + k) * n + s, sums[k][0]);
                    vd_store(out + (p + k) * n + s + CS_LANES, sums[k][1]);
                }
            }
        } else {
            for (size_t k = 0; k < tile; k++)
                for (size_t s = 0; s < n; s += CS_LANES) {
                    vd a = vd_set(0.0);
                    for (size_t j = 0; j < n_assets; j++)
                        a = vd_add(a, vd_mul(vd_set(w[k * n_assets + j]), vd_load(columns + j * n + s)));
                    vd_store(out + (p + k) * n + s, a);
                }
        }
    }
}
