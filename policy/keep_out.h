/* Boxes that points of an arm never enter: a table, a person's place. Only the geometry is here;
 * where the points are is told by whoever knows the arm's kinematics. */
#ifndef CN_POLICY_KEEP_OUT_H
#define CN_POLICY_KEEP_OUT_H

#include <stdbool.h>

#include "policy/arm.h"

#define CN_MAX_BOXES 8

/* A box, its sides along the axes of the world frame. */
typedef struct cn_box {
    char point[CN_NAME];    /* of the arm, that stays out */
    double low[3], high[3]; /* m */
    double distance;        /* m, >= 0: how far from the box the point stays */
} cn_box;

typedef struct cn_keep_out {
    int boxes;
    cn_box box[CN_MAX_BOXES];
    /* Where the points are when the joints are at position[joints]: at[i] is that of box i. Called
     * at the servo's rate, some tens of times a tick: bounded time, no allocation. */
    void (*place)(void *self, const double *position, double (*at)[3]);
    void *self; /* borrowed */
} cn_keep_out;

/* Whether a point that goes from a to b comes into what the box keeps free. One that begins inside
 * may go on its way out: it is kept from going deeper.
 * @param from, to  m, world frame; the way between them is taken as straight */
bool cn_box_forbids(const cn_box *box, const double from[3], const double to[3]);

#endif
