/* The tail count of a level, by the rule every kernel shares.
 *
 * c = n (1 - level) exactly, with level the double given; within n 2^-53 of a whole number it is that number, so that
 * 0.9 of 10 and 0.975 of 1000 mean what they say. */
#ifndef CS_TARGET_H
#define CS_TARGET_H

#include <math.h>

#include "exact.h"

CS_INLINE cs_target cs_target_of(double level, size_t n) {
    cs_target t;
    double whole = (double)n, e, p = cs_two_product(whole, level, &e);
    double count = fma(-level, whole, whole), nearest = rint(count);
    t.level = level;
    if (nearest >= 1.0 && fabs(((whole - nearest) - p) - e) <= whole * 0x1p-53) {
        t.rank = (size_t)nearest;
        t.c0 = t.count = nearest;
        t.c1 = t.c2 = t.rest = 0.0;
    } else {
        t.rank = (size_t)floor(count) + 1;
        t.c0 = whole;
        t.c1 = -p;
        t.c2 = -e;
        t.count = count;
        whole = cs_two_sum(whole, -p, &p);
        t.rest = (whole - count) + (p - e);
    }
    return t;
}

/* The target after `last` in order of rising level, equal levels by position; n_targets when there is none. The first
 * has the largest tail, which holds those of all others. */
CS_INLINE size_t cs_target_next(const cs_target *targets, size_t n_targets, size_t last) {
    size_t next = n_targets;
    for (size_t i = 0; i < n_targets; i++) {
        int after = last == n_targets || targets[i].level > targets[last].level ||
                    (targets[i].level == targets[last].level && i > last);
        if (after && (next == n_targets || targets[i].level < targets[next].level)) next = i;
    }
    return next;
}

#endif
