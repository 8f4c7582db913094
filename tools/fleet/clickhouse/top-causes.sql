-- SPDX-License-Identifier: Apache-2.0
--
-- Top causes by service and hour. A finding stands in the hour in which it was seen last; what comes of another
-- failure is that one's.

SELECT toStartOfHour(seen) AS hour, service, cause, sum(count) AS failures, uniqExact(host_id) AS hosts
FROM tcpwhy_findings FINAL
WHERE count > 0 AND because = '' AND severity != 'info'
GROUP BY hour, service, cause
ORDER BY hour DESC, failures DESC, service, cause
LIMIT 20 BY hour;
