/* Passes over scenarios: the P&L of one portfolio in every row, sums of some rows, rows by their numbers.
 *
 * A matrix of returns is read where it lies: rows in one piece (C order), columns in one piece (Fortran order), or any
 * strides, which are gathered a few rows at a time. The P&L of a row is, whatever the layout, type, block or
 * instruction set,
 *     t[l] = 0 + r[l] x[l] + r[l + 8] x[l + 8] + ...       in this order, every product rounded, l = 0 .. 7,
 *     ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7])) + base,
 * so that a row that was gathered gives the bits of the row in place. No t is -0.0: they begin at zero. */

#define CS_TERM_VECTORS (CS_TERMS / CS_LANES)
#define CS_COLUMNS_AT_ONCE 8 /* as many streams as a processor's prefetchers follow */
#define CS_SUM_VECTORS 4
#define CS_TILE_COLUMNS 32
#define CS_SUM_COLUMNS (CS_SUM_VECTORS * CS_LANES)
#define CS_SCENARIOS_AHEAD 16 /* rows fetched early */
#define CS_LINE 64

CS_INLINE vd returns_load(const char *p, int is_f32, size_t i) {
    return is_f32 ? vd_load_f32((const float *)p + i) : vd_load((const double *)p + i);
}

CS_INLINE double return_at(const char *p, int is_f32) {
    return is_f32 ? (double)*(const float *)p : *(const double *)p;
}

CS_INLINE const char *row_of(const cs_returns *r, size_t row) { return r->data + (ptrdiff_t)row * r->row_stride; }

CS_INLINE ptrdiff_t return_width(const cs_returns *r) { return r->is_f32 ? 4 : 8; }

CS_INLINE int has_rows_in_place(const cs_returns *r) { return r->stride == return_width(r); }

CS_INLINE int has_columns_in_place(const cs_returns *r) { return r->row_stride == return_width(r); }

/* Sums of CS_LANES rows side by side, term by term: term l of row k is lane k of t[l]. */
CS_INLINE vd total_of_terms(const vd t[CS_TERMS]) {
    return vd_add(vd_add(vd_add(t[0], t[4]), vd_add(t[2], t[6])), vd_add(vd_add(t[1], t[5]), vd_add(t[3], t[7])));
}

/* Terms of the last n < CS_TERMS columns; what lies behind the ends of the rows is readable. */
CS_INLINE void multiply_rest(const char *const row[CS_LANES], int is_f32, const double *x, size_t from, size_t n,
                             vd t[CS_TERMS]) {
    static const double numbers[CS_TERMS] = {0, 1, 2, 3, 4, 5, 6, 7};
    double last_x[CS_TERMS] = {0.0};
    for (size_t l = 0; l < n; l++) last_x[l] = x[from + l];
    for (size_t v = 0; v < CS_TERM_VECTORS; v++) {
        vd own = vd_load(last_x + v * CS_LANES);
        vm inside = vd_lt(vd_load(numbers + v * CS_LANES), vd_set((double)n));
        for (size_t k = 0; k < CS_LANES; k++) {
            vd r = vd_keep(inside, returns_load(row[k], is_f32, from + v * CS_LANES));
            t[v * CS_LANES + k] = vd_add(t[v * CS_LANES + k], vd_mul(r, own));
        }
    }
}

/* The same where the matrix ends. */
CS_INLINE void multiply_rest_of_last(const char *const row[CS_LANES], int is_f32, const double *x, size_t from,
                                     size_t n, vd t[CS_TERMS]) {
    double last_x[CS_TERMS] = {0.0}, last[CS_TERMS] = {0.0};
    for (size_t l = 0; l < n; l++) last_x[l] = x[from + l];
    for (size_t k = 0; k < CS_LANES; k++) {
        for (size_t l = 0; l < n; l++) last[l] = return_at(row[k] + (from + l) * (is_f32 ? 4 : 8), is_f32);
        for (size_t v = 0; v < CS_TERM_VECTORS; v++)
            t[v * CS_LANES + k] = vd_add(t[v * CS_LANES + k],
                                         vd_mul(vd_load(last + v * CS_LANES), vd_load(last_x + v * CS_LANES)));
    }
}

/* out[k] = row[k] x for CS_LANES contiguous rows. Rows as far as `ahead` bytes are fetched. */
CS_INLINE void multiply_rows(const char *const row[CS_LANES], int is_f32, const double *x, size_t n, int at_end,
                             ptrdiff_t ahead, double *out) {
    vd t[CS_TERMS];
    size_t whole = n / CS_TERMS * CS_TERMS, width = is_f32 ? 4 : 8;
    for (size_t k = 0; k < CS_TERMS; k++) t[k] = vd_set(0.0);
    /* Vector v of row k is t[v CS_LANES + k], so that the transpose of each square leaves the terms in order. */
    for (size_t j = 0; j < whole; j += CS_TERMS) {
        if (j * width % CS_LINE == 0)
            for (size_t k = 0; k < CS_LANES; k++) prefetch_far(row[k] + ahead + j * width);
        for (size_t v = 0; v < CS_TERM_VECTORS; v++) {
            vd own = vd_load(x + j + v * CS_LANES);
            for (size_t k = 0; k < CS_LANES; k++) {
                vd product = vd_mul(returns_load(row[k], is_f32, j + v * CS_LANES), own);
                t[v * CS_LANES + k] = vd_add(t[v * CS_LANES + k], product);
            }
        }
    }
    if (whole < n) {
        if (at_end)
            multiply_rest_of_last(row, is_f32, x, whole, n - whole, t);
        else
            multiply_rest(row, is_f32, x, whole, n - whole, t);
    }
    for (size_t v = 0; v < CS_TERM_VECTORS; v++) vd_transpose(t + v * CS_LANES);
    vd_store(out, total_of_terms(t));
}

/* The rows of a matrix in C order; behind the last row the last vector repeats it. */
CS_INLINE void multiply_in_rows(const cs_returns *r, int is_f32, size_t first, size_t count, const double *x,
                                double *out) {
    const char *row[CS_LANES];
    double own[CS_LANES];
    for (size_t i = 0; i < count; i += CS_LANES) {
        size_t here = count - i < CS_LANES ? count - i : CS_LANES;
        /* A row is one element at least: as many rows as there are terms hold what is read behind a row's end. */
        int at_end = r->row_stride <= 0 || first + i + CS_LANES + CS_TERMS > r->n_scenarios;
        for (size_t k = 0; k < CS_LANES; k++) row[k] = row_of(r, first + i + (k < here ? k : here - 1));
        multiply_rows(row, is_f32, x, r->n_assets, at_end, CS_SCENARIOS_AHEAD * r->row_stride, own);
        for (size_t k = 0; k < here; k++) out[i + k] = own[k];
    }
}

/* terms[i] += sum of so many columns, `apart` from each other, each times its x; `begin`: the terms are zero so far. */
CS_INLINE void add_columns(const char *column, int is_f32, ptrdiff_t apart, size_t columns, size_t count,
                           const double *x, int begin, double *terms) {
    size_t i = 0, width = is_f32 ? 4 : 8;
    for (; i + CS_LANES <= count; i += CS_LANES) {
        vd t = begin ? vd_set(0.0) : vd_load(terms + i);
        for (size_t c = 0; c < columns; c++) {
            const char *own = column + (ptrdiff_t)c * apart;
            t = vd_add(t, vd_mul(returns_load(own, is_f32, i), vd_set(x[c * CS_TERMS])));
        }
        vd_store(terms + i, t);
    }
    for (; i < count; i++) {
        double t = begin ? 0.0 : terms[i];
        for (size_t c = 0; c < columns; c++)
            t += return_at(column + (ptrdiff_t)c * apart + i * width, is_f32) * x[c * CS_TERMS];
        terms[i] = t;
    }
}

/* The columns of a matrix in Fortran order, at most CS_COLUMN_ROWS rows. Term l is that of columns l, l + 8, ... */
CS_INLINE void multiply_in_columns(const cs_returns *r, int is_f32, size_t first, size_t count, const double *x,
                                   double *scratch, double *out) {
    const char *start = row_of(r, first);
    ptrdiff_t apart = CS_TERMS * r->stride;
    double *term[CS_TERMS];
    for (size_t l = 0; l < CS_TERMS; l++) {
        term[l] = scratch + l * CS_COLUMN_ROWS;
        for (size_t i = 0; i < count && l >= r->n_assets; i++) term[l][i] = 0.0;
        for (size_t j = l; j < r->n_assets; j += CS_COLUMNS_AT_ONCE * CS_TERMS) {
            size_t left = (r->n_assets - j + CS_TERMS - 1) / CS_TERMS;
            const char *column = start + (ptrdiff_t)j * r->stride;
            switch (left < CS_COLUMNS_AT_ONCE ? left : CS_COLUMNS_AT_ONCE) {
#define COLUMNS(n) \
    case n: add_columns(column, is_f32, apart, n, count, x + j, j == l, term[l]); break;
                COLUMNS(1) COLUMNS(2) COLUMNS(3) COLUMNS(4) COLUMNS(5) COLUMNS(6) COLUMNS(7) COLUMNS(8)
#undef COLUMNS
            }
        }
    }
    for (size_t i = 0; i < count; i++)
        out[i] = ((term[0][i] + term[4][i]) + (term[2][i] + term[6][i])) +
                 ((term[1][i] + term[5][i]) + (term[3][i] + term[7][i]));
}

/* A row of any stride as contiguous doubles. */
static void gather_row(const cs_returns *r, size_t row, double *out) {
    const char *p = row_of(r, row);
    for (size_t j = 0; j < r->n_assets; j++, p += r->stride) out[j] = return_at(p, r->is_f32);
}

static void multiply_gathered(const cs_returns *r, size_t first, size_t count, const double *x, double *scratch,
                              double *out) {
    cs_returns own = {(const char *)scratch, (ptrdiff_t)(r->n_assets * sizeof(double)), sizeof(double), CS_TERMS,
                      r->n_assets, 0};
    for (size_t i = 0; i < count; i += CS_TERMS) {
        size_t here = count - i < CS_TERMS ? count - i : CS_TERMS;
        for (size_t k = 0; k < here; k++) gather_row(r, first + i + k, scratch + k * r->n_assets);
        multiply_in_rows(&own, 0, 0, here, x, out + i);
    }
}

/* out[i] = base[i] + row (first + i) of r times x for i < count <= CS_COLUMN_ROWS, `base` may be NULL. Where `mass` is
 * given and zero the scenario is absent: out[i] is infinite, which is in no tail. Returns whether any other is NaN or
 * infinite. scratch: CS_TERMS max(CS_COLUMN_ROWS, n_assets) doubles. */
static int kernel_scenario_profits(const cs_returns *r, size_t first, size_t count, const double *x, const double *base,
                                   const double *mass, double *scratch, double *out) {
    int bad = 0;
    if (has_rows_in_place(r)) {
        if (r->is_f32)
            multiply_in_rows(r, 1, first, count, x, out);
        else
            multiply_in_rows(r, 0, first, count, x, out);
    } else if (has_columns_in_place(r)) {
        if (r->is_f32)
            multiply_in_columns(r, 1, first, count, x, scratch, out);
        else
            multiply_in_columns(r, 0, first, count, x, scratch, out);
    } else {
        multiply_gathered(r, first, count, x, scratch, out);
    }
    if (base)
        for (size_t i = 0; i < count; i++) out[i] += base[i];
    if (mass)
        for (size_t i = 0; i < count; i++) {
            bad |= mass[i] != 0.0 && !(fabs(out[i]) < INFINITY);
            out[i] = mass[i] != 0.0 ? out[i] : INFINITY;
        }
    else
        for (size_t i = 0; i < count; i++) bad |= !(fabs(out[i]) < INFINITY);
    return bad;
}

/* Numbers first + i of the values with low <= profit[i] <= high, ascending; *below counts those less than low. */
static size_t kernel_scenarios_between(const double *profit, size_t n, int64_t first, double low, double high,
                                       int64_t *index, size_t *below) {
    vd least = vd_set(low), most = vd_set(high);
    size_t i = 0, found = 0, less = 0;
    for (; i + CS_LANES <= n; i += CS_LANES) {
        vd v = vd_load(profit + i);
        vm under = vd_lt(v, least);
        uint64_t bits = vm_bits(vm_andnot(under, vd_le(v, most)));
        less += vm_count(under);
        for (; bits != 0; bits &= bits - 1) index[found++] = first + (int64_t)(i + lowest_bit(bits));
    }
    for (; i < n; i++) {
        less += profit[i] < low;
        if (profit[i] >= low && profit[i] <= high) index[found++] = first + (int64_t)i;
    }
    *below = less;
    return found;
}

/* sum[j] + rest[j] += v, compensated. */
CS_INLINE void add_compensated(double *sum, double *rest, double v) {
    double e;
    *sum = cs_two_sum(*sum, v, &e);
    *rest += e;
}

/* sum + rest += up to CS_SUM_ROWS contiguous rows, each times its share. */
CS_INLINE void sum_rows_in_place(const char *const *row, const double *share, int is_f32, size_t count, size_t n,
                                 double *sum, double *rest) {
    size_t j = 0;
    for (; j + CS_SUM_COLUMNS <= n; j += CS_SUM_COLUMNS) {
        vd s[CS_SUM_VECTORS], e[CS_SUM_VECTORS];
        for (size_t v = 0; v < CS_SUM_VECTORS; v++) {
            s[v] = vd_load(sum + j + v * CS_LANES);
            e[v] = vd_load(rest + j + v * CS_LANES);
        }
        for (size_t i = 0; i < count; i++) {
            vd own = vd_set(share[i]);
            for (size_t v = 0; v < CS_SUM_VECTORS; v++) {
                vd p = vd_mul(own, returns_load(row[i], is_f32, j + v * CS_LANES));
                vd t = vd_add(s[v], p), z = vd_sub(t, s[v]);
                e[v] = vd_add(e[v], vd_add(vd_sub(s[v], vd_sub(t, z)), vd_sub(p, z)));
                s[v] = t;
            }
        }
        for (size_t v = 0; v < CS_SUM_VECTORS; v++) {
            vd_store(sum + j + v * CS_LANES, s[v]);
            vd_store(rest + j + v * CS_LANES, e[v]);
        }
    }
    for (; j < n; j++)
        for (size_t i = 0; i < count; i++)
            add_compensated(sum + j, rest + j, share[i] * return_at(row[i] + j * (is_f32 ? 4 : 8), is_f32));
}

/* The same for rows whose columns lie in one piece, or anyhow: by copies of a few columns. The next few are fetched. */
CS_INLINE void sum_rows_by_column(const char *const *row, const double *share, int is_f32, ptrdiff_t stride,
                                  size_t count, size_t n, double *sum, double *rest) {
    double copy[CS_SUM_ROWS][CS_TILE_COLUMNS];
    const char *copied[CS_SUM_ROWS];
    for (size_t i = 0; i < count; i++) copied[i] = (const char *)copy[i];
    for (size_t j = 0; j < n; j += CS_TILE_COLUMNS) {
        size_t columns = n - j < CS_TILE_COLUMNS ? n - j : CS_TILE_COLUMNS;
        for (size_t c = 0; c < columns; c++) {
            ptrdiff_t offset = (ptrdiff_t)(j + c) * stride, ahead = offset + CS_TILE_COLUMNS * stride;
            if (j + c + CS_TILE_COLUMNS < n)
                for (size_t i = 0; i < count; i++) prefetch_far(row[i] + ahead);
            for (size_t i = 0; i < count; i++) copy[i][c] = return_at(row[i] + offset, is_f32);
        }
        sum_rows_in_place(copied, share, 0, count, columns, sum + j, rest + j);
    }
}

CS_INLINE void sum_rows(const cs_returns *r, int is_f32, const int64_t *index, size_t count, const double *mass,
                        double *sum, double *rest) {
    const char *row[CS_SUM_ROWS];
    double share[CS_SUM_ROWS];
    for (size_t i = 0; i < count; i += CS_SUM_ROWS) {
        size_t here = count - i < CS_SUM_ROWS ? count - i : CS_SUM_ROWS;
        for (size_t k = 0; k < here; k++) {
            row[k] = row_of(r, (size_t)index[i + k]);
            share[k] = mass ? mass[index[i + k]] : 1.0;
        }
        if (!has_rows_in_place(r)) {
            sum_rows_by_column(row, share, is_f32, r->stride, here, r->n_assets, sum, rest);
            continue;
        }
        /* Rows of a tail lie far apart: no prefetcher of the processor sees them coming. */
        for (size_t k = i + CS_SUM_ROWS; k < count && k < i + 2 * CS_SUM_ROWS; k++)
            for (size_t c = 0; c < r->n_assets * (is_f32 ? 4 : 8); c += CS_LINE)
                prefetch_far(row_of(r, (size_t)index[k]) + c);
        sum_rows_in_place(row, share, is_f32, here, r->n_assets, sum, rest);
    }
}

/* sum + rest += the rows of these numbers, each times its mass (1 if NULL). Products are rounded; of every addition
 * the error is kept, in rest: sum + rest has twice the precision of a double. The same bits for every layout. */
static void kernel_sum_scenarios(const cs_returns *r, const int64_t *index, size_t count, const double *mass,
                                 double *sum, double *rest) {
    if (r->is_f32)
        sum_rows(r, 1, index, count, mass, sum, rest);
    else
        sum_rows(r, 0, index, count, mass, sum, rest);
}

/* out[k, :] = scale times row index[k], as doubles in C order. */
static void kernel_gather_scenarios(const cs_returns *r, const int64_t *index, size_t count, double scale,
                                    double *out) {
    if (!has_rows_in_place(r)) {
        for (size_t j = 0; j < r->n_assets; j++)
            for (size_t k = 0; k < count; k++)
                out[k * r->n_assets + j] =
                    scale * return_at(row_of(r, (size_t)index[k]) + (ptrdiff_t)j * r->stride, r->is_f32);
        return;
    }
    for (size_t k = 0; k < count; k++) {
        const char *row = row_of(r, (size_t)index[k]);
        double *own = out + k * r->n_assets;
        if (r->is_f32)
            for (size_t j = 0; j < r->n_assets; j++) own[j] = scale * (double)((const float *)row)[j];
        else
            for (size_t j = 0; j < r->n_assets; j++) own[j] = scale * ((const double *)row)[j];
    }
}
