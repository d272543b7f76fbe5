-- More ways to reach an owner. A value of an enum can be used once the transaction that added it is over, hence a migration of
-- its own before the one that does.

alter type channel add value 'push';
alter type channel add value 'mail';
alter type channel add value 'callback';
