-- SPDX-License-Identifier: Apache-2.0
--
-- What did the server say to this client's reset: of each failure that a client was told of (it was reset,
-- refused, or got no answer), what the other end says is why. As tcpwhy_both_ends, but by the keys of these clients.

WITH client AS
(
    SELECT seen, host_id, host, executable, cause, arrayJoin(connection_keys) AS connection_key
    FROM tcpwhy_findings FINAL
    WHERE cause IN ('reset-by-peer', 'connect-refused', 'connect-timeout', 'connect-given-up', 'retransmit-timeout')
        AND count > 0
        AND ({client:String} = '' OR host = {client:String} OR local_address = {client:String})
),
other AS
(
    SELECT * FROM tcpwhy_connections WHERE connection_key IN (SELECT connection_key FROM client)
),
server AS
(
    SELECT * FROM tcpwhy_findings FINAL
    WHERE count > 0 AND (host_id, finding_id) IN (SELECT host_id, finding_id FROM other)
)
SELECT DISTINCT
    client.seen AS seen,
    client.host AS client,
    client.executable AS client_process,
    client.cause AS told,
    server.host AS server,
    server.executable AS server_process,
    server.cause AS why,
    server.summary AS summary
FROM client
INNER JOIN other ON other.connection_key = client.connection_key
INNER JOIN server ON server.finding_id = other.finding_id AND server.host_id = other.host_id
WHERE (other.host_id, other.host) != (client.host_id, client.host)
    AND abs(dateDiff('second', client.seen, other.seen)) <= 300
ORDER BY seen DESC, client, why;
