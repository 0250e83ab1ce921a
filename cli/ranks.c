/* The ranks' plugin: when it is needed, and loading it. */
#include "cli/ranks.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mpi/ranks.h"

#define PLUGIN "colonnade_mpi.so" /* beside the program, or where it is installed: its RPATH */

static cn_peers *peers;
static int cores; /* 0: not known */

/* How many processes were started together. */
static int started(void)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE"); /* by mpirun, */
    if (!size && getenv("PMIX_RANK"))
        size = getenv("SLURM_STEP_NUM_TASKS"); /* or by srun --mpi=pmix */
    return size ? atoi(size) : 1;
}

cn_status cli_ranks_join(cn_error *err)
{
    if (started() <= 1)
        return CN_OK;
    /* Open MPI's own plugins look for its symbols among the global ones. It is never unloaded: it
     * cannot be started twice. */
    void *plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_GLOBAL);
    CN_FAIL_IF(!plugin, CN_ERR_NOT_FOUND, err,
               "started by mpirun, and MPI cannot be loaded: %s; reinstall colonnade or Open MPI",
               dlerror());
    cn_ranks_opener *open;
    *(void **)&open = dlsym(plugin, "cn_ranks_open"); /* POSIX's way to convert it */
    CN_FAIL_IF(!open, CN_ERR_NOT_FOUND, err, "%s is of another version of colonnade: %s", PLUGIN,
               dlerror());
    CN_TRY(open(&peers, &cores, err));
    CN_FAIL_IF(peers->rank > 0 && !freopen("/dev/null", "w", stdout), CN_ERR_IO, err,
               "rank %d cannot be silenced: /dev/null cannot be opened", peers->rank);
    return CN_OK;
}

void cli_ranks_leave(void)
{
    fflush(stdout);
    cn_peers_destroy(&peers);
}

cn_peers *cli_ranks(void)
{
    return peers;
}

int cli_ranks_cores(void)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores == 0)
        cores = online > 0 ? (int)online : 1;
    return cores;
}
