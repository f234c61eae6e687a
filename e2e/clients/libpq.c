/* libpq: pipeline mode with hundreds of statements, single-row mode, COPY, errors and cancelling. */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static PGconn *c;

static void die(const char *what) {
	fprintf(stderr, "%s: %s\n", what, PQerrorMessage(c));
	exit(1);
}

static const char *state(PGresult *r) {
	const char *s = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	return s ? s : "none";
}

static void *cancel(void *ended) {
	char message[256];
	while (usleep(300000), !*(volatile int *)ended) {
		PGcancel *k = PQgetCancel(c);
		if (!PQcancel(k, message, sizeof message))
			fprintf(stderr, "cancel: %s\n", message);
		PQfreeCancel(k);
	}
	return NULL;
}

static void pipeline(void) {
	char id[12];
	const char *values[] = {id};
	int rows = 0, aborted = 0, failed = 0;
	PGresult *r;
	if (!PQenterPipelineMode(c)) die("pipeline");
	for (int i = 0; i < 600; i++) {
		snprintf(id, sizeof id, "%d", 1 + i % 100);
		if (!PQsendQueryParams(c, i == 450 ? "SELECT 1/($1::int - $1::int)" : "SELECT id, secret FROM people WHERE id = $1", 1, NULL, values, NULL, NULL, i % 2)) die("send");
		if (i % 100 == 99 && !PQpipelineSync(c)) die("sync");
	}
	for (int syncs = 0; syncs < 6;) {
		if (!(r = PQgetResult(c))) continue; /* between two statements */
		switch (PQresultStatus(r)) {
		case PGRES_TUPLES_OK: rows += PQntuples(r); break;
		case PGRES_PIPELINE_ABORTED: aborted++; break;
		case PGRES_PIPELINE_SYNC: syncs++; break;
		default: failed++, printf("pipeline error %s\n", state(r));
		}
		PQclear(r);
	}
	if (!PQexitPipelineMode(c)) die("exit");
	printf("pipeline %d rows, %d failed, %d aborted\n", rows, failed, aborted);
}

int main(void) {
	PGresult *r;
	char *line, first[256] = "";
	int n = 0, ended = 0;
	pthread_t t;
	c = PQconnectdb("application_name=libpq");
	if (PQstatus(c) != CONNECTION_OK) die("connect");
	r = PQexec(c, "SELECT current_user");
	printf("user %s\n", PQgetvalue(r, 0, 0));
	PQclear(PQprepare(c, "people", "SELECT id, secret, shown FROM people WHERE id > $1 ORDER BY id", 1, NULL));
	r = PQexecPrepared(c, "people", 1, (const char *[]){"0"}, NULL, NULL, 0);
	printf("rows %d\nfirst|%s|%s|%s\n", PQntuples(r), PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2));
	PQsendQuery(c, "SELECT id, secret FROM people");
	PQsetSingleRowMode(c);
	for (n = 0; (r = PQgetResult(c)); PQclear(r)) n += PQresultStatus(r) == PGRES_SINGLE_TUPLE;
	printf("single rows %d\n", n);
	if (PQresultStatus(PQexec(c, "COPY people (id, secret) TO STDOUT")) != PGRES_COPY_OUT) die("copy out");
	for (n = 0; PQgetCopyData(c, &line, 0) > 0; n++, PQfreemem(line)) if (!n) sscanf(line, "%255[^\n]", first);
	while ((r = PQgetResult(c))) PQclear(r);
	if (strchr(first, '\t')) *strchr(first, '\t') = '|';
	printf("copy out %d %s\n", n, first);
	PQclear(PQexec(c, "BEGIN"));
	if (PQresultStatus(PQexec(c, "COPY arrivals FROM STDIN")) != PGRES_COPY_IN) die("copy in");
	if (PQputCopyData(c, "1\ta\n2\tb\n3\tc\n", 12) != 1 || PQputCopyEnd(c, NULL) != 1) die("copy data");
	while ((r = PQgetResult(c))) PQclear(r);
	printf("copy in %s\n", PQgetvalue(PQexec(c, "SELECT count(*) FROM arrivals"), 0, 0));
	PQclear(PQexec(c, "ROLLBACK"));
	printf("rolled back %s\n", PQgetvalue(PQexec(c, "SELECT count(*) FROM arrivals"), 0, 0));
	pipeline();
	printf("error %s\n", state(PQexec(c, "SELECT 1/0")));
	printf("error %s\n", state(PQexec(c, "SELECT * FROM nothing")));
	printf("error %s\n", state(PQexec(c, "INSERT INTO people (id) VALUES (1)")));
	pthread_create(&t, NULL, cancel, &ended);
	r = PQexec(c, "SELECT pg_sleep(60)");
	ended = 1;
	pthread_join(t, NULL);
	printf("cancel %s\n", state(r));
	printf("bye %s\n", PQgetvalue(PQexec(c, "SELECT 1"), 0, 0));
	PQfinish(c);
	return 0;
}
