-- schema 2 of the state: the rollout row knows the release that was accepted before it, and the categories that go to people
ALTER TABLE rollouts ADD COLUMN accepted_release VARCHAR NOT NULL DEFAULT '';
ALTER TABLE rollouts ADD COLUMN contained TEXT NOT NULL DEFAULT '[]';
