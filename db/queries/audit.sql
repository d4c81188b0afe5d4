-- name: AuditCreate :exec
INSERT INTO audit (id, action, actor_id, subject_id, old, new, request_id, address)
VALUES (@id, @action, @actor_id, @subject_id, @old, @new, @request_id, @address);
