/* The lines that ipvsadm -Ln writes. Both functions answer whether they can write the record; if not, the caller of
 * ipvsnl_print writes the whole service. */
#ifndef IPVSNL_LISTING_H
#define IPVSNL_LISTING_H

#include "text/putting.h"

/* A service's line. */
int ipvsnl_list_service(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service);

/* A real server's line. */
int ipvsnl_list_server(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_dest *dest);

#endif
