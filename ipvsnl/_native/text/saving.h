/* The lines that ipvsadm -Sn writes. Both functions answer whether they can write the record; if not, the caller of
 * ipvsnl_print writes the whole service. */
#ifndef IPVSNL_SAVING_H
#define IPVSNL_SAVING_H

#include "text/putting.h"

/* A service's line. `named` becomes the words that name the service: its servers' lines repeat them. */
int ipvsnl_save_service(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service,
                        struct word *named);

/* A real server's line. */
int ipvsnl_save_server(struct text *text, const struct ipvsnl_print *print, const struct ipvsnl_service *service,
                       const struct ipvsnl_dest *dest, const struct word *named);

#endif
