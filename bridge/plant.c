/* What every plant shares. */
#include "bridge/plant.h"

#include <stddef.h>

void cn_plant_destroy(cn_plant **plant)
{
    if (!plant || !*plant)
        return;
    (*plant)->destroy(*plant);
    *plant = NULL;
}
