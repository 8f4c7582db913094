/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage: connections refused|accepted|reset N
 *
 * Makes N connections over loopback, one after the other, and prints nanoseconds for each. In a
 * machine whose clock counts instructions (QEMU's -icount shift=0) these are instructions.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLOSED_PORT 7999
#define OPEN_PORT 8000

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(CLOSED_PORT) };
	struct linger abort_it = { .l_onoff = 1, .l_linger = 0 };
	int refused, listener = -1, on = 1;
	double begun;
	long n;

	if (argc != 3 || (n = atol(argv[2])) < 1)
		return 2;
	refused = !strcmp(argv[1], "refused");
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!refused) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		at.sin_port = htons(OPEN_PORT);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(listener, (void *)&at, sizeof(at)) || listen(listener, 16))
			return 1;
	}
	begun = now_ns();
	for (long i = 0; i < n; i++) {
		int client = socket(AF_INET, SOCK_STREAM, 0), server;

		if ((connect(client, (void *)&at, sizeof(at)) != 0) != refused)
			return 1;
		if (!refused) {
			server = accept(listener, NULL, NULL);
			if (!strcmp(argv[1], "reset"))
				setsockopt(server, SOL_SOCKET, SO_LINGER, &abort_it,
					   sizeof(abort_it));
			close(server);
		}
		close(client);
	}
	printf("%.0f\n", (now_ns() - begun) / n);
	return 0;
}
