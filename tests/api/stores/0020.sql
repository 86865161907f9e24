BEGIN TRANSACTION;
CREATE TABLE alarm_feedback (
	tenant VARCHAR NOT NULL, 
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	fingerprint VARCHAR NOT NULL, 
	since VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	metric VARCHAR NOT NULL, 
	p FLOAT NOT NULL, 
	verdict VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	note TEXT NOT NULL
, workload VARCHAR DEFAULT '' NOT NULL);
CREATE TABLE alarm_seen (
	tenant VARCHAR NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	since VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (tenant, fingerprint, since)
);
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
	start_slot INTEGER, tenant VARCHAR DEFAULT 'default' NOT NULL, 
	FOREIGN KEY(plan_id) REFERENCES "jobs" (id)
);
CREATE TABLE audit (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	caller VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	result VARCHAR NOT NULL, 
	request_id VARCHAR NOT NULL
);
CREATE TABLE "cluster_health" (
	tenant VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	content TEXT NOT NULL, 
	PRIMARY KEY (tenant, cluster)
);
CREATE TABLE cursors (
	tenant VARCHAR NOT NULL, 
	workload VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	PRIMARY KEY (tenant, workload, cluster)
);
CREATE TABLE documents (
	job_id VARCHAR NOT NULL, 
	given TEXT, 
	"result" TEXT, tenant VARCHAR DEFAULT 'default' NOT NULL, 
	PRIMARY KEY (job_id), 
	FOREIGN KEY(job_id) REFERENCES "jobs" (id)
);
CREATE TABLE drifts (
	tenant VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	day INTEGER NOT NULL, 
	metric VARCHAR NOT NULL, 
	statistic FLOAT NOT NULL, 
	threshold FLOAT NOT NULL, 
	p FLOAT NOT NULL, 
	drifted INTEGER NOT NULL, 
	host VARCHAR NOT NULL, 
	PRIMARY KEY (tenant, cluster, day, metric)
);
CREATE TABLE events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	about VARCHAR NOT NULL, 
	severity VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	title TEXT NOT NULL, 
	text TEXT NOT NULL, 
	fields TEXT NOT NULL, 
	resolved BOOLEAN NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	scope VARCHAR, 
	passed_on BOOLEAN NOT NULL
);
CREATE TABLE files (
	job_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	media_type VARCHAR NOT NULL, 
	content BLOB NOT NULL, tenant VARCHAR DEFAULT 'default' NOT NULL, 
	PRIMARY KEY (job_id, name), 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
CREATE TABLE hosts (
	tenant VARCHAR NOT NULL, 
	host VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (tenant, host)
);
CREATE TABLE in_force (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	plan_id VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, tenant VARCHAR DEFAULT 'default' NOT NULL, 
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
	body_sha256 VARCHAR NOT NULL, 
	kind VARCHAR DEFAULT 'plan' NOT NULL, 
	priority INTEGER DEFAULT '0' NOT NULL, 
	share FLOAT, tenant VARCHAR DEFAULT 'default' NOT NULL, 
	CONSTRAINT uq_jobs_id UNIQUE (id)
);
CREATE TABLE keys (
	id VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	roles VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	expires_at VARCHAR, 
	revoked_at VARCHAR, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE leases (
	tenant VARCHAR NOT NULL, 
	workload VARCHAR NOT NULL, 
	holder VARCHAR NOT NULL, 
	epoch INTEGER NOT NULL, 
	PRIMARY KEY (tenant, workload)
);
CREATE TABLE life_cycles (
	plan_id VARCHAR NOT NULL, 
	tenant VARCHAR DEFAULT 'default' NOT NULL, 
	scenario VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	content_id VARCHAR NOT NULL, 
	parent VARCHAR, 
	valid_until VARCHAR NOT NULL, 
	moves TEXT NOT NULL, 
	waves_done INTEGER NOT NULL, 
	made TEXT NOT NULL, 
	predecessor VARCHAR, 
	verification TEXT, 
	PRIMARY KEY (plan_id), 
	FOREIGN KEY(plan_id) REFERENCES jobs (id)
);
CREATE TABLE life_events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	plan_id VARCHAR NOT NULL, 
	tenant VARCHAR DEFAULT 'default' NOT NULL, 
	at VARCHAR NOT NULL, 
	who VARCHAR NOT NULL, 
	step VARCHAR NOT NULL, 
	"before" VARCHAR NOT NULL, 
	"after" VARCHAR NOT NULL, 
	note TEXT NOT NULL, 
	why TEXT NOT NULL, 
	FOREIGN KEY(plan_id) REFERENCES jobs (id)
);
CREATE TABLE loop_steps (
	tenant VARCHAR NOT NULL, 
	run VARCHAR NOT NULL, 
	step VARCHAR NOT NULL, 
	workload VARCHAR NOT NULL, 
	hardware_class VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	outcome VARCHAR NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (tenant, run, step)
);
CREATE TABLE machines (
	plan_id VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	pool VARCHAR NOT NULL, 
	purchase VARCHAR NOT NULL, 
	count TEXT NOT NULL, tenant VARCHAR DEFAULT 'default' NOT NULL, 
	FOREIGN KEY(plan_id) REFERENCES "jobs" (id)
);
CREATE TABLE notices (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant VARCHAR NOT NULL, 
	event INTEGER NOT NULL, 
	channel VARCHAR NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	resolved BOOLEAN NOT NULL, 
	state VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	error TEXT, 
	created_at VARCHAR NOT NULL, 
	not_before VARCHAR, 
	sent_at VARCHAR, 
	FOREIGN KEY(event) REFERENCES events (seq)
);
CREATE TABLE rollouts (
	tenant VARCHAR NOT NULL, 
	hardware_class VARCHAR NOT NULL, 
	run VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (tenant, hardware_class)
);
CREATE TABLE scenario_versions (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	why TEXT NOT NULL, 
	media_type VARCHAR NOT NULL, 
	bytes INTEGER NOT NULL, 
	clusters INTEGER NOT NULL, 
	workloads INTEGER NOT NULL, 
	slots INTEGER NOT NULL, 
	retired_at VARCHAR, 
	retired_by VARCHAR, 
	content BLOB NOT NULL
);
CREATE TABLE schedules (
	id VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	cron VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	request TEXT NOT NULL, 
	submission TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE sessions (
	digest VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	key_id VARCHAR NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (digest), 
	FOREIGN KEY(key_id) REFERENCES keys (id)
);
CREATE TABLE shadows (
	tenant VARCHAR NOT NULL, 
	scenario VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	why TEXT NOT NULL, 
	PRIMARY KEY (tenant, scenario)
);
CREATE TABLE telemetry_rows (
	tenant VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	ts INTEGER NOT NULL, 
	arrived_at FLOAT NOT NULL, 
	content TEXT NOT NULL, 
	PRIMARY KEY (tenant, cluster, number), 
	CONSTRAINT telemetry_rows_once UNIQUE (tenant, cluster, ts)
);
CREATE TABLE telemetry_streams (
	tenant VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	hardware_class VARCHAR NOT NULL, 
	country VARCHAR NOT NULL, 
	opted_in INTEGER NOT NULL, 
	last INTEGER NOT NULL, 
	PRIMARY KEY (tenant, cluster)
);
CREATE TABLE tenures (
	tenant VARCHAR NOT NULL, 
	workload VARCHAR NOT NULL, 
	epoch INTEGER NOT NULL, 
	host VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	plan_id VARCHAR NOT NULL, 
	since FLOAT NOT NULL, 
	until FLOAT, 
	PRIMARY KEY (tenant, workload, epoch)
);
CREATE TABLE ticks (
	tenant VARCHAR NOT NULL, 
	schedule VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	job_id VARCHAR, 
	PRIMARY KEY (schedule, at), 
	FOREIGN KEY(schedule) REFERENCES schedules (id) ON DELETE CASCADE, 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
CREATE TABLE verdicts (
	tenant VARCHAR NOT NULL, 
	cluster VARCHAR NOT NULL, 
	ts INTEGER NOT NULL, 
	model_version VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	score FLOAT, 
	threshold FLOAT NOT NULL, 
	alarms TEXT NOT NULL, 
	workload VARCHAR NOT NULL, 
	host VARCHAR NOT NULL, 
	epoch INTEGER NOT NULL, 
	seconds FLOAT NOT NULL, 
	PRIMARY KEY (tenant, cluster, ts, model_version)
);
CREATE TABLE workers (
	executor VARCHAR NOT NULL, 
	seen_at FLOAT NOT NULL, 
	PRIMARY KEY (executor)
);
CREATE INDEX assignments_by_cluster ON assignments (plan_id, cluster);
CREATE INDEX assignments_by_workload ON assignments (plan_id, workload);
CREATE INDEX machines_by_cluster ON machines (plan_id, cluster);
CREATE INDEX jobs_by_status ON jobs (tenant, status, seq);
CREATE INDEX jobs_by_kind ON jobs (tenant, kind, seq);
CREATE UNIQUE INDEX jobs_by_key ON jobs (tenant, idempotency_key);
CREATE UNIQUE INDEX schedules_by_name ON schedules (tenant, name);
CREATE INDEX keys_by_version ON keys (version);
CREATE INDEX audit_by_tenant ON audit (tenant, seq);
CREATE INDEX life_cycles_by_scenario ON life_cycles (tenant, scenario, state);
CREATE UNIQUE INDEX one_in_force ON life_cycles (tenant, scenario) WHERE state = 'in_force';
CREATE UNIQUE INDEX one_applying ON life_cycles (tenant, scenario) WHERE state = 'applying';
CREATE INDEX life_events_by_plan ON life_events (plan_id, seq);
CREATE INDEX events_waiting ON events (passed_on, seq);
CREATE INDEX events_by_scope ON events (tenant, scope, seq);
CREATE INDEX notices_told ON notices (tenant, channel, fingerprint, seq);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the record is only added to'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the record is only added to'); END;
CREATE UNIQUE INDEX scenario_versions_once ON scenario_versions (tenant, name, version);
CREATE INDEX sessions_by_key ON sessions (key_id, until);
INSERT INTO alembic_version (version_num) VALUES ('0020');
INSERT INTO alarm_feedback ("tenant", "fingerprint", "since", "cluster", "metric", "p", "verdict", "by", "at", "note", "workload") VALUES ('default', 'fingerprint', 'since', 'cheap', 'metric', 1.0, 'false', 'by', '2026-01-01T00:00:00.000Z', 'note', 'etl');
INSERT INTO alarm_seen ("tenant", "fingerprint", "since", "by", "at", "note") VALUES ('default', 'fingerprint', 'since', 'by', '2026-01-01T00:00:00.000Z', 'note');
INSERT INTO audit ("tenant", "at", "caller", "action", "target", "result", "request_id") VALUES ('default', '2026-01-01T00:00:00.000Z', 'caller', 'action', 'target', '{"schema": 1, "name": "tiny", "status": "optimal", "mode": "min_cost", "cost_usd": 4.0, "bound": 4.0, "gap": 0.0, "costs": {"machines": 4.0, "egress": 0, "storage": 0, "moves": 0, "carbon": 0}, "sla_attainment": 1.0, "assignments": [{"workload": "etl", "user_region": null, "copy": 0, "part": 0, "cap": null, "cluster": "cheap", "pool": "p", "start_slot": null}], "machines": [{"cluster": "cheap", "pool": "p", "purchase": "on_demand", "count": [1, 1, 1, 1]}]}', 'request_id');
INSERT INTO cluster_health ("tenant", "cluster", "version", "content") VALUES ('default', 'cheap', 1, '{"reports": [], "lost": false, "since": 0.0, "well_since": null, "losses": []}');
INSERT INTO cursors ("tenant", "workload", "cluster", "number") VALUES ('default', 'etl', 'cheap', 1);
INSERT INTO drifts ("tenant", "cluster", "day", "metric", "statistic", "threshold", "p", "drifted", "host") VALUES ('default', 'cheap', 1, 'metric', 1.0, 1.0, 1.0, 1, 'host');
INSERT INTO events ("tenant", "at", "about", "severity", "subject", "title", "text", "fields", "resolved", "fingerprint", "scope", "passed_on") VALUES ('default', '2026-01-01T00:00:00.000Z', 'alarm', 'warning', 'subject', 'title', 'text', '{}', FALSE, 'fingerprint', 'scope', FALSE);
INSERT INTO hosts ("tenant", "host", "cluster", "until") VALUES ('default', 'host', 'cheap', 1.0);
INSERT INTO jobs ("id", "name", "status", "attempt", "created_at", "started_at", "finished_at", "request", "clusters", "seconds", "objective", "bound", "gap", "phase", "errors", "idempotency_key", "body_sha256", "kind", "priority", "share", "tenant") VALUES ('p1', 'tiny', 'done', 1, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', '{"time_limit_s": 5.0}', '["cheap", "dear"]', 1.0, 1.0, 1.0, 0.0, 'phase', '[]', 'k', 'body_sha256', 'plan', 0, 1.0, 'default');
INSERT INTO keys ("id", "tenant", "name", "roles", "digest", "created_at", "expires_at", "revoked_at", "version") VALUES ('p1', 'default', 'tiny', 'roles', 'digest', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', 1);
INSERT INTO leases ("tenant", "workload", "holder", "epoch") VALUES ('default', 'etl', 'holder', 1);
INSERT INTO loop_steps ("tenant", "run", "step", "workload", "hardware_class", "at", "outcome", "detail") VALUES ('default', 'run', 'step', 'etl', 'hardware_class', 1.0, 'outcome', 'detail');
INSERT INTO rollouts ("tenant", "hardware_class", "run", "version", "cluster", "at") VALUES ('default', 'hardware_class', 'run', 'version', 'cheap', 1.0);
INSERT INTO scenario_versions ("tenant", "name", "version", "at", "by", "why", "media_type", "bytes", "clusters", "workloads", "slots", "retired_at", "retired_by", "content") VALUES ('default', 'tiny', 'version', '2026-01-01T00:00:00.000Z', 'by', 'why', 'media_type', 1, 12, 1, 1, '2026-01-01T00:00:00.000Z', 'retired_by', X'50415231');
INSERT INTO schedules ("id", "tenant", "name", "kind", "cron", "origin", "created_at", "request", "submission") VALUES ('p1', 'default', 'tiny', 'plan', '0 2 * * *', 'api', '2026-01-01T00:00:00.000Z', '{"time_limit_s": 5.0}', '{"name": "tiny", "request": {}, "given": null, "clusters": ["cheap"], "body_sha256": "a", "idempotency_key": null, "kind": "plan", "priority": 0, "file": null}');
INSERT INTO shadows ("tenant", "scenario", "at", "by", "why") VALUES ('default', '{"name": "tiny"}', '2026-01-01T00:00:00.000Z', 'by', 'why');
INSERT INTO telemetry_rows ("tenant", "cluster", "number", "ts", "arrived_at", "content") VALUES ('default', 'cheap', 1, 1, 1.0, '{"reports": [], "lost": false, "since": 0.0, "well_since": null, "losses": []}');
INSERT INTO telemetry_streams ("tenant", "cluster", "hardware_class", "country", "opted_in", "last") VALUES ('default', 'cheap', 'hardware_class', 'country', 1, 1);
INSERT INTO tenures ("tenant", "workload", "epoch", "host", "cluster", "plan_id", "since", "until") VALUES ('default', 'etl', 1, 'host', 'cheap', 'p1', 1.0, 1.0);
INSERT INTO verdicts ("tenant", "cluster", "ts", "model_version", "status", "score", "threshold", "alarms", "workload", "host", "epoch", "seconds") VALUES ('default', 'cheap', 1, 'model_version', 'done', 1.0, 1.0, 'alarms', 'etl', 'host', 1, 1.0);
INSERT INTO workers ("executor", "seen_at") VALUES ('executor', 1.0);
INSERT INTO assignments ("plan_id", "workload", "user_region", "copy", "part", "cluster", "pool", "start_slot", "tenant") VALUES ('p1', 'etl', NULL, 0, 0, 'cheap', 'p', NULL, 'default');
INSERT INTO documents ("job_id", "given", "result", "tenant") VALUES ('p1', '{"name": "tiny"}', '{"schema": 1, "name": "tiny", "status": "optimal", "mode": "min_cost", "cost_usd": 4.0, "bound": 4.0, "gap": 0.0, "costs": {"machines": 4.0, "egress": 0, "storage": 0, "moves": 0, "carbon": 0}, "sla_attainment": 1.0, "assignments": [{"workload": "etl", "user_region": null, "copy": 0, "part": 0, "cap": null, "cluster": "cheap", "pool": "p", "start_slot": null}], "machines": [{"cluster": "cheap", "pool": "p", "purchase": "on_demand", "count": [1, 1, 1, 1]}]}', 'default');
INSERT INTO files ("job_id", "name", "media_type", "content", "tenant") VALUES ('p1', 'packings.parquet', 'media_type', X'50415231', 'default');
INSERT INTO in_force ("plan_id", "at", "tenant") VALUES ('p1', '2026-01-01T00:00:00.000Z', 'default');
INSERT INTO life_cycles ("plan_id", "tenant", "scenario", "state", "content_id", "parent", "valid_until", "moves", "waves_done", "made", "predecessor", "verification") VALUES ('p1', 'default', 'tiny', 'in_force', 'content_id', NULL, 'valid_until', '[]', 1, '[]', NULL, NULL);
INSERT INTO life_events ("plan_id", "tenant", "at", "who", "step", "before", "after", "note", "why") VALUES ('p1', 'default', '2026-01-01T00:00:00.000Z', 'who', 'step', 'before', 'after', 'note', 'why');
INSERT INTO machines ("plan_id", "cluster", "pool", "purchase", "count", "tenant") VALUES ('p1', 'cheap', 'p', 'on_demand', '[1, 1, 1, 1]', 'default');
INSERT INTO notices ("tenant", "event", "channel", "fingerprint", "resolved", "state", "attempts", "error", "created_at", "not_before", "sent_at") VALUES ('default', 1, 'channel', 'fingerprint', FALSE, 'sent', 1, 'error', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z');
INSERT INTO sessions ("digest", "tenant", "key_id", "until") VALUES ('digest', 'default', 'p1', 1.0);
INSERT INTO ticks ("tenant", "schedule", "at", "job_id") VALUES ('default', 'p1', '2026-01-01T00:00:00.000Z', 'p1');
COMMIT;
