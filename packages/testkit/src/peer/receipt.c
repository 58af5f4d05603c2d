// Which numbered messages of one sender arrived, and the longest time without one.
#include "peer.h"

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
