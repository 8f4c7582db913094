-- SPDX-License-Identifier: Apache-2.0
--
-- One incident, both ends: all that any host said of the connections of a finding, in the order of time.

SELECT seen, host, cause, severity, count, executable, container_id, pod_uid, summary, advice, finding_id
FROM tcpwhy_findings FINAL
WHERE count > 0
    AND (finding_id = {finding:String}
        OR finding_id IN (SELECT other_finding_id FROM tcpwhy_both_ends WHERE finding_id = {finding:String}))
ORDER BY seen, host, cause;
