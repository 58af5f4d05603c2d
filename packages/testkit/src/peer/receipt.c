// Which numbered messages of one sender arrived, and the longest time without one.
#include "peer.h"

#define GAP_COUNT_FIRST 1024
#define GAP_COUNT_MAX (1 << 20)

static void gap_note(struct receipt *receipt, double gap)
{
	if (receipt->gap_count == receipt->gap_room) {
		if (receipt->gap_room >= GAP_COUNT_MAX) return;
		receipt->gap_room *= 2;
		receipt->gaps = realloc(receipt->gaps, receipt->gap_room * sizeof(*receipt->gaps));
		if (!receipt->gaps) die("memory");
	}
	receipt->gaps[receipt->gap_count++] = gap;
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

void receipt_gaps(struct receipt *receipt, uint32_t client)
{
	uint32_t count = receipt->gap_count;

	if (receipt->gaps) {
		// The silence that lasts is a gap, too.
		double silence = now_ms() - receipt->last_ms;
		float *gaps = receipt->gaps;

		qsort(gaps, count, sizeof(*gaps), by_size);
		if (count)
			emit("{\"event\":\"gaps\",\"client\":%u,\"count\":%u,\"p50Ms\":%.2f,\"p99Ms\":%.2f,\"longestMs\":%.2f}", client,
			     count, gaps[count / 2], gaps[(uint64_t)count * 99 / 100], gaps[count - 1] > silence ? gaps[count - 1] : silence);
		else
			emit("{\"event\":\"gaps\",\"client\":%u,\"count\":0,\"p50Ms\":%.2f,\"p99Ms\":%.2f,\"longestMs\":%.2f}", client,
			     silence, silence, silence);
	} else {
		receipt->gap_room = GAP_COUNT_FIRST;
		receipt->gaps = malloc(receipt->gap_room * sizeof(*receipt->gaps));
		if (!receipt->gaps) die("memory");
	}
	receipt->gap_count = 0;
}

void receipt_note(struct receipt *receipt, uint32_t number)
{
	double now = now_ms();

	if (number / 8 >= receipt->room) {
		uint32_t room = receipt->room ? receipt->room : 256;

		while (number / 8 >= room) room *= 2;
		receipt->seen = realloc(receipt->seen, room);
		if (!receipt->seen) die("memory");
		memset(receipt->seen + receipt->room, 0, room - receipt->room);
		receipt->room = room;
	}
	if (receipt->seen[number / 8] & 1 << number % 8) {
		receipt->duplicates++;
		return;
	}
	receipt->seen[number / 8] |= 1 << number % 8;
	receipt->received++;
	if (number < receipt->highest) receipt->out_of_order++;
	else receipt->highest = number;
	if (receipt->gaps) gap_note(receipt, now - receipt->last_ms);
	if (receipt->first_ms == 0) receipt->first_ms = now;
	else if (now - receipt->last_ms > receipt->longest_gap_ms) {
		receipt->longest_gap_ms = now - receipt->last_ms;
		receipt->longest_gap_at_ms = receipt->last_ms;
	}
	receipt->last_ms = now;
}

// Numbers 1 … sent that did not arrive.
uint32_t receipt_missing(const struct receipt *receipt, uint32_t sent)
{
	uint32_t missing = 0;

	for (uint32_t number = 1; number <= sent; number++)
		if (number / 8 >= receipt->room || !(receipt->seen[number / 8] & 1 << number % 8)) missing++;
	return missing;
}
