-- Why a runner takes nothing new although it is live, as its last heartbeat said: for people and for explanations.
-- Locks: `runner` for a moment (ACCESS EXCLUSIVE); a column without a default rewrites nothing. The previous release
-- neither reads nor writes it.
ALTER TABLE runner ADD COLUMN unfit text CONSTRAINT runner_unfit_check CHECK (unfit IN ('disk_low', 'breaker'));
