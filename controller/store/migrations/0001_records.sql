-- One schema for SQLite and PostgreSQL. Times are milliseconds since 1970 in UTC; a `body` is JSON and has everything, the columns
-- beside it are what people ask for. Every row belongs to a gateway, so that several can share a database.

-- The sessions that are not over, in whatever state.
CREATE TABLE session (
    gateway TEXT NOT NULL,
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    vpn TEXT NOT NULL,
    caller TEXT NOT NULL,
    callee TEXT NOT NULL,
    requested BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (gateway, number)
);

-- What is kept beside the sessions: tunnels, and what was done to links at run time.
CREATE TABLE fact (
    gateway TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (gateway, kind, name)
);

-- The SIP dialogs of a session: what a BYE is told by.
CREATE TABLE dialogs (
    gateway TEXT NOT NULL,
    session BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (gateway, session)
);

-- What is billed. Session numbers are used again, so a session is named by its number and the time of its request.
CREATE TABLE charge (
    gateway TEXT NOT NULL,
    session BIGINT NOT NULL,
    requested BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    contract TEXT NOT NULL,
    vpn TEXT NOT NULL,
    caller TEXT NOT NULL,
    callee TEXT NOT NULL,
    carried_bytes BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (gateway, session, requested)
);
CREATE INDEX charge_by_contract ON charge (gateway, contract, ended);
