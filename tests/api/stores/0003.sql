BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE assignments (
	plan_id VARCHAR NOT NULL, 
	workload VARCHAR NOT NULL, 
	user_region VARCHAR, 
	copy INTEGER NOT NULL, 
	part INTEGER NOT NULL, 
	cluster VARCHAR NOT NULL, 
	pool VARCHAR NOT NULL, 
	start_slot INTEGER, 
	FOREIGN KEY(plan_id) REFERENCES "jobs" (id)
);
CREATE TABLE cluster_health (
	cluster VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	content TEXT NOT NULL, 
	PRIMARY KEY (cluster)
);
CREATE TABLE documents (
	job_id VARCHAR NOT NULL, 
	given TEXT, 
	"result" TEXT, 
	PRIMARY KEY (job_id), 
	FOREIGN KEY(job_id) REFERENCES "jobs" (id)
);
CREATE TABLE files (
	job_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	media_type VARCHAR NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (job_id, name), 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
CREATE TABLE in_force (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	plan_id VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	FOREIGN KEY(plan_id) REFERENCES jobs (id)
);
CREATE TABLE "jobs" (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	created_at VARCHAR NOT NULL, 
	started_at VARCHAR, 
	finished_at VARCHAR, 
	request TEXT NOT NULL, 
	clusters TEXT NOT NULL, 
	seconds FLOAT, 
	objective FLOAT, 
	bound FLOAT, 
	gap FLOAT, 
	phase VARCHAR, 
	errors TEXT NOT NULL, 
	idempotency_key VARCHAR, 
	body_sha256 VARCHAR NOT NULL, kind VARCHAR DEFAULT 'plan' NOT NULL, priority INTEGER DEFAULT '0' NOT NULL, share FLOAT, 
	UNIQUE (id), 
	UNIQUE (idempotency_key)
);
CREATE TABLE machines (
	plan_id VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	pool VARCHAR NOT NULL, 
	purchase VARCHAR NOT NULL, 
	count TEXT NOT NULL, 
	FOREIGN KEY(plan_id) REFERENCES "jobs" (id)
);
CREATE TABLE workers (
	executor VARCHAR NOT NULL, 
	seen_at FLOAT NOT NULL, 
	PRIMARY KEY (executor)
);
CREATE INDEX assignments_by_cluster ON assignments (plan_id, cluster);
CREATE INDEX assignments_by_workload ON assignments (plan_id, workload);
CREATE INDEX machines_by_cluster ON machines (plan_id, cluster);
CREATE INDEX jobs_by_status ON jobs (status, seq);
CREATE INDEX jobs_by_kind ON jobs (kind, seq);
INSERT INTO alembic_version (version_num) VALUES ('0003');
INSERT INTO cluster_health ("cluster", "version", "content") VALUES ('cheap', 1, '{"reports": [], "lost": false, "since": 0.0, "well_since": null, "losses": []}');
INSERT INTO jobs ("id", "name", "status", "attempt", "created_at", "started_at", "finished_at", "request", "clusters", "seconds", "objective", "bound", "gap", "phase", "errors", "idempotency_key", "body_sha256", "kind", "priority", "share") VALUES ('p1', 'tiny', 'done', 1, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', '{"time_limit_s": 5.0}', '["cheap", "dear"]', 1.0, 1.0, 1.0, 0.0, 'phase', '[]', 'k', 'body_sha256', 'plan', 0, 1.0);
INSERT INTO workers ("executor", "seen_at") VALUES ('executor', 1.0);
INSERT INTO assignments ("plan_id", "workload", "user_region", "copy", "part", "cluster", "pool", "start_slot") VALUES ('p1', 'etl', NULL, 0, 0, 'cheap', 'p', NULL);
INSERT INTO documents ("job_id", "given", "result") VALUES ('p1', '{"name": "tiny"}', '{"schema": 1, "name": "tiny", "status": "optimal", "mode": "min_cost", "cost_usd": 4.0, "bound": 4.0, "gap": 0.0, "costs": {"machines": 4.0, "egress": 0, "storage": 0, "moves": 0, "carbon": 0}, "sla_attainment": 1.0, "assignments": [{"workload": "etl", "user_region": null, "copy": 0, "part": 0, "cap": null, "cluster": "cheap", "pool": "p", "start_slot": null}], "machines": [{"cluster": "cheap", "pool": "p", "purchase": "on_demand", "count": [1, 1, 1, 1]}]}');
INSERT INTO files ("job_id", "name", "media_type", "content") VALUES ('p1', 'packings.parquet', 'media_type', X'50415231');
INSERT INTO in_force ("plan_id", "at") VALUES ('p1', '2026-01-01T00:00:00.000Z');
INSERT INTO machines ("plan_id", "cluster", "pool", "purchase", "count") VALUES ('p1', 'cheap', 'p', 'on_demand', '[1, 1, 1, 1]');
COMMIT;
