/* What processes cost, read from /proc. */
#pragma once

/* utime + stime of one process with all its threads (running and ended), in seconds; 0 when it is gone. */
double usage_cpu_s(int pid);
/* The same of the calling process. */
double usage_own_cpu_s(void);
/* Resident memory of one process, in KiB. */
long usage_rss_kib(int pid);
/* Seconds in which the machine's cores were not idle, summed over them. */
double usage_machine_busy_s(void);
