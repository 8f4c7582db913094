-- SPDX-License-Identifier: Apache-2.0
--
-- What did the server say to this client's reset: of each failure that a client was told of (it was reset,
-- refused, or got no answer), what the other end says is why.

SELECT
    client.seen AS seen,
    client.host AS client,
    client.executable AS client_process,
    client.cause AS told,
    server.host AS server,
    server.executable AS server_process,
    server.cause AS why,
    server.summary AS summary
FROM tcpwhy_both_ends AS ends
INNER JOIN tcpwhy_findings AS client FINAL
    ON client.finding_id = ends.finding_id AND client.host_id = ends.host_id
INNER JOIN tcpwhy_findings AS server FINAL
    ON server.finding_id = ends.other_finding_id AND server.host_id = ends.other_host_id
WHERE client.cause IN ('reset-by-peer', 'connect-refused', 'connect-timeout', 'connect-given-up', 'retransmit-timeout')
    AND client.count > 0
    AND server.count > 0
    AND ({client:String} = '' OR client.host = {client:String} OR client.local_address = {client:String})
ORDER BY seen DESC, client, why;
