/* What an arm tells and what it is told: the two plain structs that travel from sensor to command,
 * the same for a simulated arm, a twin behind a socket and a physical arm. */
#ifndef CN_POLICY_ARM_H
#define CN_POLICY_ARM_H

#define CN_MAX_JOINTS  32
#define CN_MAX_TRACKED 8
#define CN_NAME        48 /* bytes of a name, NUL included */

/* A joint as the arm's maker describes it: what a command may ask of it. */
typedef struct cn_arm_joint {
    char name[CN_NAME];
    char unit[8];         /* "rad" or "m" */
    double position_low;  /* unit; -inf when unlimited */
    double position_high; /* unit; +inf when unlimited */
    double velocity;      /* unit/s, > 0: the fastest that a command may move it */
    double acceleration;  /* unit/s2, > 0 */
    double jerk;          /* unit/s3, > 0 */
    double effort;        /* N m or N; +inf when there is none */
} cn_arm_joint;

/* One reading of the arm's sensors. Joints are in the order of the task's joint list. */
typedef struct cn_arm_state {
    double time_s; /* the arm's own clock */
    int joints;
    double position[CN_MAX_JOINTS];  /* rad (hinge) or m (slide), as the encoders read it */
    double velocity[CN_MAX_JOINTS];  /* rad/s or m/s */
    double effort[CN_MAX_JOINTS];    /* N m or N */
    int tracked;                     /* points that something outside the arm measures: */
    double point[CN_MAX_TRACKED][3]; /* world frame, m; in the order of the task's `tracked` list */
} cn_arm_state;

typedef enum cn_command_mode {
    CN_COMMAND_NONE,     /* nothing commanded yet: hold */
    CN_COMMAND_POSITION, /* target: rad or m */
    CN_COMMAND_VELOCITY, /* target: rad/s or m/s */
    CN_COMMAND_EFFORT,   /* target: N m or N */
} cn_command_mode;

/* One command, held by the arm until the next one. */
typedef struct cn_arm_command {
    cn_command_mode mode;
    int joints;
    double target[CN_MAX_JOINTS];
} cn_arm_command;

#endif
