#include "decay.h"

#include <math.h>
#include <string.h>

#include "exact.h"
#include "pairs.h"

/* Instead of the old weights falling, the new ones grow: outcome i enters with decay^-i, and only the ratio to the sum
 * counts. Growing numbers are kept as a number below one and an epoch, the multiple of 2^EPOCH_BITS that it stands for;
 * what an epoch holds is scaled down when a sum of a later one needs it, and is gone after EPOCHS_KEPT.
 *
 * Weights and products with the outcomes are pairs of doubles. They are summed by a binary tree over blocks of distinct
 * outcomes in ascending order. A node is always the sum of its children, made anew when one of them changes: nothing is
 * ever subtracted, so that rounding errors do not pile up. */
#define EPOCH_BITS 64
#define EPOCHS_KEPT 15
#define BLOCK 4

/* The largest outcome is scaled to about this power of two: far enough from overflow for sums, far enough from
 * underflow for the low parts of products. */
#define MAGNITUDE 800

typedef struct {
    cs_pair weight, product;
    int64_t epoch;
} node;

/* Equal outcomes: their common value and weight. */
typedef struct {
    double value;
    cs_pair weight;
    int64_t epoch;
} group;

typedef struct {
    group *groups; /* a multiple of BLOCK */
    node *nodes;   /* nodes[1] is the root, nodes[2 i] and nodes[2 i + 1] the children of i; leaves are blocks */
    int64_t *group_of;
    size_t n_leaves;
    int has_losses; /* the first group is -inf */
    int exponent;   /* outcomes are summed times 2^exponent, the product of these two */
    double scale[2];
} tree;

/* decay^-age = mantissa 2^exponent. */
typedef struct {
    cs_pair mantissa;
    int64_t exponent;
} power;

/* 2^(-EPOCH_BITS age), 0 when all is forgotten. */
static inline double aged(int64_t age) {
    uint64_t bits = age < EPOCHS_KEPT ? (uint64_t)(1023 - EPOCH_BITS * age) << 52 : 0;
    double r;
    memcpy(&r, &bits, sizeof r);
    return r;
}

static power power_of_inverse(double decay) {
    power r;
    int exponent;
    double m = frexp(decay, &exponent), low, product, q = 1.0 / m;
    product = cs_two_product(q, m, &low);
    r.mantissa = cs_pair_fast(q, ((1.0 - product) - low) / m);
    r.exponent = -exponent;
    return r;
}

static void power_multiply(power *p, const power *factor) {
    p->mantissa = cs_pair_times_pair(p->mantissa, factor->mantissa);
    p->exponent += factor->exponent;
    while (p->mantissa.hi >= 2.0) {
        p->mantissa = cs_pair_scaled(p->mantissa, 0.5);
        p->exponent++;
    }
}

static size_t blocks_for(size_t n_groups) { return (n_groups + BLOCK - 1) / BLOCK; }

/* A power of two. The leaves behind the last block stay empty. */
static size_t leaves_for(size_t n_groups) {
    size_t leaves = 1;
    while (leaves < blocks_for(n_groups)) leaves *= 2;
    return leaves;
}

size_t cs_decay_workspace_size(size_t n) {
    return 2 * leaves_for(n) * sizeof(node) + blocks_for(n) * BLOCK * sizeof(group) + n * sizeof(int64_t);
}

static void tree_build(tree *t, const double *x, const int64_t *order, size_t n, void *workspace) {
    double largest = 0.0;
    size_t present = 0, n_groups = 0;
    for (; present < n && x[order[present]] == x[order[present]]; present++) {
        double magnitude = fabs(x[order[present]]);
        if (magnitude > largest && magnitude < INFINITY) largest = magnitude;
    }
    frexp(largest, &t->exponent);
    t->exponent = largest > 0.0 ? MAGNITUDE - t->exponent : 0;
    t->scale[0] = ldexp(1.0, t->exponent / 2);
    t->scale[1] = ldexp(1.0, t->exponent - t->exponent / 2);
    t->n_leaves = leaves_for(present);
    t->nodes = (node *)workspace;
    t->groups = (group *)(t->nodes + 2 * t->n_leaves);
    t->group_of = (int64_t *)(t->groups + blocks_for(present) * BLOCK);
    memset(workspace, 0, 2 * t->n_leaves * sizeof(node) + blocks_for(present) * BLOCK * sizeof(group));
    for (size_t i = 0; i < present; i++) {
        if (i == 0 || x[order[i]] != x[order[i - 1]]) t->groups[n_groups++].value = x[order[i]];
        t->group_of[order[i]] = (int64_t)(n_groups - 1);
    }
    for (size_t i = present; i < n; i++) t->group_of[order[i]] = -1;
    t->has_losses = n_groups > 0 && isinf(t->groups[0].value) && t->groups[0].value < 0.0;
}

static inline cs_pair group_weight(const group *g, int64_t epoch) {
    return cs_pair_scaled(g->weight, aged(epoch - g->epoch));
}

/* An infinite outcome has no part in a sum: it decides the result by being there. */
static inline double summand(const tree *t, const group *g) {
    return isinf(g->value) ? 0.0 : g->value * t->scale[0] * t->scale[1];
}

static void tree_add(tree *t, size_t position, cs_pair weight, int64_t epoch) {
    group *changed = t->groups + position, *block = t->groups + position / BLOCK * BLOCK;
    size_t i = t->n_leaves + position / BLOCK;
    node sum;
    changed->weight = cs_pair_add(group_weight(changed, epoch), weight);
    changed->epoch = epoch;
    memset(&sum, 0, sizeof sum);
    sum.epoch = epoch;
    for (size_t k = 0; k < BLOCK; k++) {
        cs_pair own = group_weight(block + k, epoch);
        sum.weight = cs_pair_add(sum.weight, own);
        sum.product = cs_pair_add(sum.product, cs_pair_times(own, summand(t, block + k)));
    }
    t->nodes[i] = sum;
    for (; i > 1; i /= 2) {
        const node *sibling = t->nodes + (i ^ 1);
        double factor = aged(epoch - sibling->epoch);
        sum.weight = cs_pair_add(sum.weight, cs_pair_scaled(sibling->weight, factor));
        sum.product = cs_pair_add(sum.product, cs_pair_scaled(sibling->product, factor));
        t->nodes[i / 2] = sum;
    }
}

/* ES of what is in the tree; `mass` is 1 - level exactly, and the newest outcome is of this epoch. */
static double tree_es(const tree *t, cs_pair mass, int64_t epoch) {
    cs_pair total = t->nodes[1].weight, tail = cs_pair_times_pair(total, mass);
    cs_pair weight = {0.0, 0.0}, product = {0.0, 0.0}, reached;
    cs_pair tolerance = cs_pair_scaled(total, 0x1p-53), goal = cs_pair_add(tail, cs_pair_negative(tolerance));
    const group *g, *last;
    double quotient, error;
    size_t i = 1;
    while (i < t->n_leaves) {
        const node *left = t->nodes + 2 * i, *right = left + 1;
        double factor = aged(epoch - left->epoch);
        cs_pair below = cs_pair_scaled(left->weight, factor);
        reached = cs_pair_add(weight, below);
        if (below.hi > 0.0 && (!cs_pair_less(reached, goal) || right->weight.hi * aged(epoch - right->epoch) == 0.0)) {
            i = 2 * i;
        } else {
            weight = reached;
            product = cs_pair_add(product, cs_pair_scaled(left->product, factor));
            i = 2 * i + 1;
        }
    }
    g = t->groups + (i - t->n_leaves) * BLOCK;
    last = g + BLOCK - 1;
    while (last > g && group_weight(last, epoch).hi == 0.0) last--;
    for (;; g++) {
        cs_pair own = group_weight(g, epoch);
        reached = cs_pair_add(weight, own);
        if (g == last || (own.hi > 0.0 && !cs_pair_less(reached, goal))) break;
        weight = reached;
        product = cs_pair_add(product, cs_pair_times(own, summand(t, g)));
    }
    if (weight.hi == 0.0) return 0.0 - g->value;
    if (t->has_losses && group_weight(t->groups, epoch).hi > 0.0) return isinf(g->value) ? (double)NAN : INFINITY;
    if (isinf(g->value)) return -INFINITY;
    /* Reached but not by more than the tolerance: the tail ends with this group. */
    if (!cs_pair_less(cs_pair_add(tail, tolerance), reached)) tail = reached;
    product = cs_pair_add(product, cs_pair_times(cs_pair_add(tail, cs_pair_negative(weight)), summand(t, g)));
    quotient = product.hi / tail.hi;
    reached = cs_pair_add(product, cs_pair_times(tail, -quotient));
    error = reached.hi / tail.hi;
    return 0.0 - ldexp(quotient + error, -t->exponent);
}

void cs_decay_es(const double *x, const int64_t *order, size_t n, double decay, int count_outcomes,
                 const double *levels, size_t n_levels, size_t min_count, void *workspace, double *es) {
    tree t;
    /* Of the smallest factor on, 0 included, only the newest outcome counts. */
    power growth = power_of_inverse(decay > 0.0 ? decay : 0x1p-1074), newest;
    size_t count = 0;
    tree_build(&t, x, order, n, workspace);
    newest.mantissa = cs_pair_fast(1.0, 0.0);
    newest.exponent = 0;
    for (size_t i = 0; i < n; i++) {
        int present = t.group_of[i] >= 0;
        if (count > 0 && (present || !count_outcomes)) power_multiply(&newest, &growth);
        if (present) {
            int64_t epoch = newest.exponent / EPOCH_BITS;
            cs_pair weight = cs_pair_scaled(newest.mantissa, ldexp(1.0, (int)(newest.exponent % EPOCH_BITS) - EPOCH_BITS));
            tree_add(&t, (size_t)t.group_of[i], weight, epoch);
            count++;
        }
        for (size_t level = 0; level < n_levels; level++) {
            double *out = es + level * n + i, rest, mass;
            if (!present && i > 0) {
                *out = out[-1];
            } else if (count == 0 || count < min_count) {
                *out = NAN;
            } else {
                mass = cs_two_sum(1.0, -levels[level], &rest);
                *out = tree_es(&t, cs_pair_fast(mass, rest), t.nodes[1].epoch);
            }
        }
    }
}
