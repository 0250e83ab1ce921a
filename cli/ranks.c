/* The ranks' plugin: when it is needed, and loading it. */
#include "cli/ranks.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "mpi/ranks.h"

#define PLUGIN "colonnade_mpi.so" /* beside the program, or where it is installed: its RPATH */

int cli_ranks_started(void)
{
    /* mpirun; srun --mpi=pmix, which numbers its processes for MPI only with PMIx. */
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    if (!size && getenv("PMIX_RANK"))
        size = getenv("SLURM_STEP_NUM_TASKS");
    const int started = size ? atoi(size) : 1;
    return started > 1 ? started : 1;
}

cn_status cli_ranks_open(cn_peers **out, int *cores, cn_error *err)
{
    *out = NULL;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    *cores = online > 0 ? (int)online : 1;
    if (cli_ranks_started() == 1)
        return CN_OK;
    /* Open MPI loads plugins of its own, which look for its symbols among the global ones. It is
     * never unloaded: it cannot be started twice. */
    void *plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_GLOBAL);
    CN_FAIL_IF(!plugin, CN_ERR_NOT_FOUND, err,
               "started by mpirun, and MPI cannot be loaded: %s; reinstall colonnade and Open MPI",
               dlerror());
    cn_ranks_opener *open;
    *(void **)&open = dlsym(plugin, "cn_ranks_open"); /* as POSIX says to convert it */
    CN_FAIL_IF(!open, CN_ERR_NOT_FOUND, err, "%s is of another version of colonnade: %s", PLUGIN,
               dlerror());
    return open(out, cores, err);
}
