-- SPDX-License-Identifier: Apache-2.0
--
-- One incident, both ends: all that any host said of the connections of a finding, in the order of time. As
-- tcpwhy_both_ends, but by the keys of the one finding, so that nothing is read of the others.

WITH own AS
(
    SELECT host_id, host, seen, arrayJoin(connection_keys) AS connection_key
    FROM tcpwhy_findings FINAL
    WHERE finding_id = {finding:String}
)
SELECT seen, host, cause, severity, count, executable, container_id, pod_uid, summary, advice, finding_id
FROM tcpwhy_findings FINAL
WHERE count > 0
    AND (finding_id = {finding:String}
        OR finding_id IN (
            SELECT other.finding_id
            FROM tcpwhy_connections AS other
            INNER JOIN own USING (connection_key)
            WHERE connection_key IN (SELECT connection_key FROM own)
                AND (other.host_id, other.host) != (own.host_id, own.host)
                AND abs(dateDiff('second', own.seen, other.seen)) <= 300))
ORDER BY seen, host, cause;
