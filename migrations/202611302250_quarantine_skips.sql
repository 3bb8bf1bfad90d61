-- Which cases are not to be run: every server asks for all of them every few seconds, so that claims need not ask.
-- Locks: `quarantine` for a moment, which only people write.
CREATE INDEX quarantine_skip_idx ON quarantine (until) WHERE mode = 'skip';
