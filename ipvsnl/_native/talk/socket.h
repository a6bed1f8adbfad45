/* Send, wait and receive on a socket. A signal may interrupt each; the same call again goes on: see socket.c. */
#ifndef IPVSNL_SOCKET_H
#define IPVSNL_SOCKET_H

#include "internal.h"

/* Send, unless *sent says that it is done; then *sent is 1. It waits for room as ipvsnl_wait does. */
int ipvsnl_send_once(int socket, const void *requests, size_t length, uint8_t *sent, int timeout, int64_t *deadline,
                     struct ipvsnl_fault *fault);

/* Sleep until there is something to receive. IPVSNL_SILENT: `timeout` milliseconds have passed since the first wait.
 * Begin with *deadline 0, and make it 0 again after progress: a wait that a signal ends keeps its deadline. */
int64_t ipvsnl_wait(int socket, int timeout, int64_t *deadline, struct ipvsnl_fault *fault);

/* Receive the datagrams that are there, each into a slot of `slot` bytes, and their lengths. Answers how many. On a
 * netlink socket the length of one that is not from the kernel is 0. */
int64_t ipvsnl_receive(int socket, uint8_t *buffer, size_t size, size_t slot, uint32_t *lengths,
                       struct ipvsnl_fault *fault);

#endif
