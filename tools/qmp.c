/* SPDX-License-Identifier: MIT */
/*
 * The QMP client. Must not know what an NMI is used for.
 *
 * The order of an NMI behind bytes on a serial port: QEMU's main loop takes bytes from the port's
 * line as the port has room, one a round at worst, and each answer to a harmless command is a
 * round. So such commands are sent until the line is empty, and only then the NMI.
 */
#include "tools/qmp.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static void send_command(struct qmp *qmp, const char *command)
{
	char *line = make_text("{\"execute\":\"%s\",\"id\":\"%s\"}\n", command, command);

	bytes_add_text(qmp->line, line);
	free(line);
}

static void advance_nmi(struct qmp *qmp)
{
	if (!qmp->ready || !qmp->nmi_wanted || qmp->nmi_under_way)
		return;
	qmp->nmi_wanted = false;
	qmp->nmi_under_way = true;
	send_command(qmp, "query-status");
}

/* A port that takes nothing any more must not hold the NMI back for ever. */
#define MAX_ROUNDS 200u

static bool serial_taken(const struct qmp *qmp)
{
	int n_bytes = 0;

	return ioctl(qmp->serial, FIONREAD, &n_bytes) != 0 || n_bytes == 0;
}

static void round_done(struct qmp *qmp)
{
	if (serial_taken(qmp) || ++qmp->n_rounds == MAX_ROUNDS) {
		qmp->n_rounds = 0;
		send_command(qmp, "inject-nmi");
	} else {
		send_command(qmp, "query-status");
	}
}

static void answered(struct qmp *qmp, const char *id)
{
	if (strcmp(id, "qmp_capabilities") == 0) {
		qmp->ready = true;
	} else if (strcmp(id, "query-status") == 0) {
		round_done(qmp);
	} else if (strcmp(id, "inject-nmi") == 0) {
		qmp->nmi_under_way = false;
	}
	advance_nmi(qmp);
}

static void greeted(struct qmp *qmp, json_t *greeting)
{
	int major = 0;
	int minor = 0;
	int micro = 0;

	if (json_unpack(greeting, "{s:{s:{s:i,s:i,s:i}}}", "version", "qemu", "major", &major,
		    "minor", &minor, "micro", &micro) == 0)
		snprintf(qmp->version, sizeof(qmp->version), "%d.%d.%d", major, minor, micro);
	send_command(qmp, "qmp_capabilities");
}

void qmp_line(struct qmp *qmp, const char *line)
{
	json_t *object = json_loads(line, 0, NULL);
	const char *id = json_string_value(json_object_get(object, "id"));
	const char *event = json_string_value(json_object_get(object, "event"));
	json_t *greeting = json_object_get(object, "QMP");

	if (greeting)
		greeted(qmp, greeting);
	else if (id)
		answered(qmp, id);
	else if (event && strcmp(event, "SHUTDOWN") == 0)
		snprintf(qmp->shutdown, sizeof(qmp->shutdown), "%s",
			json_string_value(
				json_object_get(json_object_get(object, "data"), "reason"))
				?: "");
	json_decref(object);
}

void qmp_inject_nmi(struct qmp *qmp)
{
	qmp->nmi_wanted = true;
	advance_nmi(qmp);
}
