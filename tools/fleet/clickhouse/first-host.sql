-- SPDX-License-Identifier: Apache-2.0
--
-- First host that saw it: of each cause at a service, who saw it first, and how many hosts did after that.

SELECT
    cause,
    service,
    min(first_seen) AS since,
    argMin(host, first_seen) AS first_host,
    uniqExact(host_id) AS hosts,
    sum(count) AS failures
FROM tcpwhy_findings FINAL
WHERE count > 0
GROUP BY cause, service
ORDER BY since, cause, service;
