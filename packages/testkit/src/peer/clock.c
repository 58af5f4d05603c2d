// A simulated clock for the stack: with --clock N its seconds pass N times as fast as ours, all of them. So a stack keeps the
// timers that it was delivered with (RTO.Initial 1 s, HB.interval 30 s, Path.Max.Retrans 5), and a minute of them takes
// 60/N s.
//
// usrsctp has two sources of time: it counts ticks of 10 ms, one for each nanosleep(3) of its timer thread, and it measures
// round trips and the life of cookies with gettimeofday(2). Both are ours here. The ticks follow the clock by deadlines, not
// by lengths: what a sleep took too long the next one is shorter by, or the timers would fall behind what is measured.
//
// What does not pass the faster clock is the network and what is under test: they seem N times as slow as they are. A stack
// that bears that bears the real thing.
#include "peer.h"

/* A process that was starved for longer than this goes on as after a pause, or it would see all its timers run out at once. */
#define LATE_MAX_NS 50000000LL
#define SECOND_NS 1000000000LL

static struct timeval started;
static struct timespec started_monotonic;

static int64_t nanoseconds(const struct timespec *time)
{
	return time->tv_sec * SECOND_NS + time->tv_nsec;
}

void clock_start(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &started_monotonic);
	started.tv_sec = wall.tv_sec;
	started.tv_usec = wall.tv_nsec / 1000;
}

// The stack's time of day.
int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	struct timespec now;
	int64_t passed;

	(void)zone;
	if (options.clock == 1) {
		clock_gettime(CLOCK_REALTIME, &now);
		time->tv_sec = now.tv_sec;
		time->tv_usec = now.tv_nsec / 1000;
		return 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	passed = (nanoseconds(&now) - nanoseconds(&started_monotonic)) * options.clock / 1000 + started.tv_usec;
	time->tv_sec = started.tv_sec + passed / 1000000;
	time->tv_usec = passed % 1000000;
	return 0;
}

// Only the stack's timer thread sleeps by nanosleep(3).
int clock_sleep(const struct timespec *wanted, struct timespec *left)
{
	static int64_t deadline;
	struct timespec now, until;
	int64_t present;

	if (options.clock == 1) return clock_nanosleep(CLOCK_MONOTONIC, 0, wanted, left);
	clock_gettime(CLOCK_MONOTONIC, &now);
	present = nanoseconds(&now);
	if (deadline < present - LATE_MAX_NS) deadline = present;
	deadline += nanoseconds(wanted) / options.clock;
	until.tv_sec = deadline / SECOND_NS;
	until.tv_nsec = deadline % SECOND_NS;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
	return 0;
}
