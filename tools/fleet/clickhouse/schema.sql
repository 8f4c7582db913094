-- SPDX-License-Identifier: Apache-2.0
--
-- Findings of many hosts in ClickHouse. `otel_logs` is the table of the collector's ClickHouse exporter, of
-- which only these columns are needed: where the exporter makes it, leave it out here.

CREATE TABLE IF NOT EXISTS otel_logs
(
    Timestamp DateTime64(9),
    SeverityText LowCardinality(String),
    Body String,
    ResourceAttributes Map(LowCardinality(String), String),
    LogAttributes Map(LowCardinality(String), String),
    EventName String
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY Timestamp
TTL toDateTime(Timestamp) + INTERVAL 30 DAY;

-- One row a finding: it comes again as it grows, and once more where a crash came before the answer. The last one
-- counts; where its count is 0 another finding says more. Ask with FINAL.
CREATE TABLE IF NOT EXISTS tcpwhy_findings
(
    finding_id String,
    seen DateTime64(9),
    first_seen DateTime64(9),
    host_id String,
    host LowCardinality(String),
    cause LowCardinality(String),
    severity LowCardinality(String),
    basis LowCardinality(String),
    count UInt64,
    summary String,
    advice Array(String),
    -- The service, or the listener, that it is about.
    service String,
    local_address String,
    local_port UInt16,
    peer_address String,
    peer_port UInt16,
    -- Of the newest connection, at whichever host its ends are.
    addresses Array(String),
    ports Array(UInt16),
    pid UInt32,
    executable LowCardinality(String),
    container_id String,
    pod_uid String,
    netns UInt32,
    because LowCardinality(String),
    evidence Map(LowCardinality(String), String),
    -- What its connections are known by at both ends.
    connection_keys Array(String)
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toDate(first_seen)
ORDER BY (host_id, finding_id)
TTL toDateTime(seen) + INTERVAL 30 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS tcpwhy_findings_of_logs TO tcpwhy_findings AS
SELECT
    LogAttributes['tcpwhy.finding.id'] AS finding_id,
    Timestamp AS seen,
    ifNull(parseDateTime64BestEffortOrNull(LogAttributes['tcpwhy.first_time'], 9), Timestamp) AS first_seen,
    ResourceAttributes['host.id'] AS host_id,
    ResourceAttributes['host.name'] AS host,
    LogAttributes['tcpwhy.cause'] AS cause,
    LogAttributes['tcpwhy.severity'] AS severity,
    LogAttributes['tcpwhy.basis'] AS basis,
    toUInt64OrZero(LogAttributes['tcpwhy.count']) AS count,
    Body AS summary,
    JSONExtract(LogAttributes['tcpwhy.advice'], 'Array(String)') AS advice,
    LogAttributes['tcpwhy.where'] AS service,
    LogAttributes['network.local.address'] AS local_address,
    toUInt16OrZero(LogAttributes['network.local.port']) AS local_port,
    LogAttributes['network.peer.address'] AS peer_address,
    toUInt16OrZero(LogAttributes['network.peer.port']) AS peer_port,
    arrayMap(
        side -> LogAttributes[side || '.address'],
        ['network.local', 'network.peer', 'source', 'destination']) AS addresses,
    arrayMap(
        side -> toUInt16OrZero(LogAttributes[side || '.port']),
        ['network.local', 'network.peer', 'source', 'destination']) AS ports,
    toUInt32OrZero(LogAttributes['process.pid']) AS pid,
    LogAttributes['process.executable.name'] AS executable,
    if(LogAttributes['container.id'] != '', LogAttributes['container.id'], ResourceAttributes['container.id'])
        AS container_id,
    if(LogAttributes['k8s.pod.uid'] != '', LogAttributes['k8s.pod.uid'], ResourceAttributes['k8s.pod.uid'])
        AS pod_uid,
    toUInt32OrZero(LogAttributes['tcpwhy.netns']) AS netns,
    LogAttributes['tcpwhy.because.cause'] AS because,
    mapApply(
        (name, value) -> (replaceOne(name, 'tcpwhy.evidence.', ''), value),
        mapFilter((name, value) -> startsWith(name, 'tcpwhy.evidence.'), LogAttributes)) AS evidence,
    JSONExtract(LogAttributes['tcpwhy.connection.ids'], 'Array(String)') AS connection_keys
FROM otel_logs
WHERE EventName = 'tcpwhy.finding';

-- By what a connection is known by, so that its other end is found without reading all findings.
CREATE TABLE IF NOT EXISTS tcpwhy_connections
(
    connection_key String,
    seen DateTime64(9),
    host_id String,
    host LowCardinality(String),
    finding_id String
)
ENGINE = ReplacingMergeTree(seen)
ORDER BY (connection_key, host_id, finding_id)
TTL toDateTime(seen) + INTERVAL 30 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS tcpwhy_connections_of_findings TO tcpwhy_connections AS
SELECT arrayJoin(connection_keys) AS connection_key, seen, host_id, host, finding_id
FROM tcpwhy_findings;

-- Findings of two hosts about one connection. Ends are used again, and numbers come again: not hours later. Hosts made
-- of one image may have one id: then their names tell them apart.
CREATE VIEW IF NOT EXISTS tcpwhy_both_ends AS
SELECT
    one.host_id AS host_id,
    one.finding_id AS finding_id,
    other.host_id AS other_host_id,
    other.finding_id AS other_finding_id,
    groupUniqArray(connection_key) AS connection_keys
FROM tcpwhy_connections AS one
INNER JOIN tcpwhy_connections AS other USING (connection_key)
WHERE (one.host_id, one.host) != (other.host_id, other.host)
    AND abs(dateDiff('second', one.seen, other.seen)) <= 300
    AND one.finding_id IN (SELECT finding_id FROM tcpwhy_findings FINAL WHERE count > 0)
    AND other.finding_id IN (SELECT finding_id FROM tcpwhy_findings FINAL WHERE count > 0)
GROUP BY host_id, finding_id, other_host_id, other_finding_id;
