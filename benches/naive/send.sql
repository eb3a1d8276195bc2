\set phone random(390000000000, 399999999999)
BEGIN;
SELECT balance FROM naive_account WHERE id = 1 FOR UPDATE;
SELECT count(*) FROM naive_request WHERE phone = :phone AND sent_at > now() - interval '10 minutes';
INSERT INTO naive_request (account_id, phone, code, delivery) VALUES (1, :phone, '123456', 'sent') RETURNING id \gset
UPDATE naive_account SET balance = balance - 10000 WHERE id = 1 RETURNING balance \gset
INSERT INTO naive_transfer (account_id, request_id, amount, balance_after) VALUES (1, :id, 10000, :balance);
COMMIT;
