/* The part of a line of rule text that is about a real server. */
#ifndef IPVSNL_SERVERS_H
#define IPVSNL_SERVERS_H

#include "text/words.h"

/* Read the key of a real server: `-r 10.0.0.1:80`. Answers whether it stands there. */
int ipvsnl_read_server_key(struct line *line, struct ipvsnl_dest *dest);

/* Read what stands behind the key of the service in -a and -e. Answers whether it is understood. */
int ipvsnl_read_server(struct line *line, const struct ipvsnl_service *service, struct ipvsnl_dest *dest);

#endif
