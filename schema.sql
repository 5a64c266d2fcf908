-- The tables of minim, for SQLite and MySQL alike: what stands in a comment with an exclamation mark, MySQL reads.
-- A statement ends with the line.
-- Times are milliseconds since 1970. Lengths are checked by the server, since SQLite does not.
-- The server keeps the MD5 of this file in minimSchema and refuses a database made by another one.

CREATE TABLE users (
    id INTEGER PRIMARY KEY /*! AUTO_INCREMENT */,
    pwd VARCHAR(100) NOT NULL,          -- salted, iterated digest; never the password
    loginName VARCHAR(50) NOT NULL,     -- as it was typed
    loginKey VARCHAR(150) NOT NULL,     -- in small letters: what is compared
    username VARCHAR(50) NOT NULL,
    sex INTEGER NOT NULL,               -- 0 not said, 1 male, 2 female (ISO/IEC 5218)
    picUrl VARCHAR(200) NOT NULL,
    updateTime BIGINT NOT NULL,
    CONSTRAINT loginKeyOnce UNIQUE (loginKey)
) /*! ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

-- One row a friendship, whoever asked: uid is the smaller of the two.
CREATE TABLE friends (
    id INTEGER PRIMARY KEY /*! AUTO_INCREMENT */,
    uid INTEGER NOT NULL,
    friendId INTEGER NOT NULL,
    updateTime BIGINT NOT NULL,
    CONSTRAINT friendOnce UNIQUE (uid, friendId),
    FOREIGN KEY (uid) REFERENCES users (id),
    FOREIGN KEY (friendId) REFERENCES users (id)
) /*! ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX friendOf ON friends (friendId);

-- A group without members is no more; its row stays, so that its history stays readable.
CREATE TABLE groupChat (
    id INTEGER PRIMARY KEY /*! AUTO_INCREMENT */,
    createUid INTEGER NOT NULL,         -- the owner
    gname VARCHAR(50) NOT NULL,
    updateTime BIGINT NOT NULL,
    FOREIGN KEY (createUid) REFERENCES users (id)
) /*! ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX groupOwner ON groupChat (createUid);

CREATE TABLE groupMembers (
    id INTEGER PRIMARY KEY /*! AUTO_INCREMENT */,
    gId INTEGER NOT NULL,
    uId INTEGER NOT NULL,
    joinTime BIGINT NOT NULL,
    CONSTRAINT memberOnce UNIQUE (gId, uId),
    FOREIGN KEY (gId) REFERENCES groupChat (id),
    FOREIGN KEY (uId) REFERENCES users (id)
) /*! ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX memberOf ON groupMembers (uId);

-- An inbox: one row for each recipient, of a group's message also one for its sender.
CREATE TABLE message (
    id INTEGER PRIMARY KEY /*! AUTO_INCREMENT */,
    fromUid INTEGER NOT NULL,
    toUid INTEGER NOT NULL,
    type INTEGER NOT NULL,              -- 1 said or sent (see msgType); requests: 2 FRIEND, 3 GROUP, 4 JOIN
    gId INTEGER NULL,
    handle INTEGER NOT NULL DEFAULT 0,  -- 0 waits, 1 handled or accepted, 2 refused
    sendTime BIGINT NOT NULL,
    handleTime BIGINT NULL,
    clientNo BIGINT NULL,               -- the sender's number of the request; NULL for requests over HTTP
    msgType VARCHAR(10) NULL,           -- TEXT, EMOJI, PICTURE, FILE
    msgText TEXT NULL,
    fileName VARCHAR(255) NULL,
    fileSize BIGINT NULL,
    fileMd5 CHAR(32) NULL,
    filePath VARCHAR(200) NULL,         -- where the server stored it, below its data folder
    CONSTRAINT messageOnce UNIQUE (fromUid, clientNo, toUid),
    FOREIGN KEY (fromUid) REFERENCES users (id),
    FOREIGN KEY (toUid) REFERENCES users (id),
    FOREIGN KEY (gId) REFERENCES groupChat (id)
) /*! ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX messageInbox ON message (toUid, handle, type);
CREATE INDEX messagePair ON message (fromUid, toUid, gId, type);
CREATE INDEX messageGroup ON message (gId, type, toUid);
/*! ALTER TABLE message MODIFY id BIGINT NOT NULL AUTO_INCREMENT */;

CREATE TABLE minimSchema (
    md5 CHAR(32) NOT NULL
) /*! ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
