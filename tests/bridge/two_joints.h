/* A robot to read messages for: two joints, two tracked points. */
#ifndef CN_TESTS_BRIDGE_TWO_JOINTS_H
#define CN_TESTS_BRIDGE_TWO_JOINTS_H

#include <math.h>

#include "bridge/plant.h"

static const cn_plant_info two_joints = {
    .arm = "fake",
    .joints = 2,
    .joint = {{"base", "rad", -2, 2, 1.5, 30, 3000, 10},
              {"rail", "m", -INFINITY, INFINITY, 3, 60, 6000, INFINITY}},
    .tracked = 2,
    .point = {"target", "cube"},
    .control_period_s = 0.05,
    .servo_rate_hz = 500,
};

#endif
