/* A socket for conversations that a signal may interrupt and a call take up again: see socket.c. */
#ifndef IPVSNL_SOCKET_H
#define IPVSNL_SOCKET_H

#include "internal.h"

/* Send, if *sent does not say that it is done. */
int ipvsnl_send_once(int socket, const void *requests, size_t length, uint8_t *sent, struct ipvsnl_fault *fault);

/* Sleep until there is something to receive; IPVSNL_SILENT where there is nothing `timeout` milliseconds after the first
 * wait. Begin with *deadline 0; whoever has received something makes it 0 again. */
int64_t ipvsnl_wait(int socket, int timeout, int64_t *deadline, struct ipvsnl_fault *fault);

/* Receive what is there into slots of `slot` bytes, and how long each is. Answers how many; 0: nothing is there. */
int64_t ipvsnl_receive(int socket, uint8_t *buffer, size_t size, size_t slot, uint32_t *lengths,
                       struct ipvsnl_fault *fault);

#endif
