BEGIN TRANSACTION;
CREATE TABLE entries (
	uid VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	item_id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	reviewer VARCHAR NOT NULL, 
	words TEXT NOT NULL, 
	item TEXT NOT NULL, 
	PRIMARY KEY (uid), 
	UNIQUE ("key"), 
	UNIQUE (item_id)
);
INSERT INTO "entries" VALUES('571c09857fd948779576bf72d341abab','d90fb32401d16a0206ac01084db8ec2c','6051ddb8d4f11239','fact','approved','auto','the father of louis xiv was louis xiii. louis xiv father louis xiii the sun king','{"aliases": ["the Sun King"], "kind": "fact", "object": "Louis XIII", "relation": "father", "subject": "Louis XIV", "text": "The father of Louis XIV was Louis XIII."}');
INSERT INTO "entries" VALUES('8427abf894af491fa78ccfc18586a857','bba4594e4c01bc529324a84d8befad35','c77dee7856a1ac5c','fact','approved','auto','the residence of sun king was versailles. sun king residence versailles','{"aliases": [], "kind": "fact", "object": "Versailles", "relation": "residence", "subject": "Sun King", "text": "The residence of Sun King was Versailles."}');
INSERT INTO "entries" VALUES('02ffcf6b64654fd388d0c0b26ecb4067','72bf056976d43f7b7aef6a46fc4e6125','2aeb8f40042cd901','fact','approved','auto','a fathom is 6 feet. fathom length 6 feet fadom fm','{"aliases": ["fadom", "fm"], "kind": "fact", "object": "6 feet", "relation": "length", "subject": "fathom", "text": "A fathom is 6 feet."}');
INSERT INTO "entries" VALUES('a8e52d82384240dfb1283ec57cbce647','8fecf76577a943e72340a98e1e593336','2b98914fe9d520cf','lesson','proposed','','read the question twice.','{"kind": "lesson", "text": "Read the question twice."}');
INSERT INTO "entries" VALUES('a8a32f186d8346b1b257e650338e923b','bf6fbb4e7d807f7375b72fa341d7d7d1','69d1c600ae956c2a','rule','approved','auto','a father''s father is a grandfather.','{"clause": "grandfather(X, Z) :- father(X, Y), father(Y, Z).", "kind": "rule", "tests": [{"expect": "grandfather(a, c).", "expect_not": "", "given": "father(a, b). father(b, c)."}], "text": "A father''s father is a grandfather."}');
INSERT INTO "entries" VALUES('e03f5cdc4bd5402ab5b477c6a6c614a2','008542a6177eb13146e74528e72133b4','a5e213dc56251209','lesson','rejected','Ann','it''s “quoted”; drop table entries; --','{"kind": "lesson", "text": "It''s “quoted”; DROP TABLE entries; --"}');
CREATE TABLE evidence (
	entry VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	example VARCHAR NOT NULL, 
	attempt VARCHAR NOT NULL, 
	PRIMARY KEY (entry, source, example, attempt), 
	FOREIGN KEY(entry) REFERENCES entries (uid)
);
INSERT INTO "evidence" VALUES('571c09857fd948779576bf72d341abab','expert','kings/1','a1b2');
INSERT INTO "evidence" VALUES('8427abf894af491fa78ccfc18586a857','expert','kings/2','');
INSERT INTO "evidence" VALUES('02ffcf6b64654fd388d0c0b26ecb4067','expert','units/1','');
INSERT INTO "evidence" VALUES('a8e52d82384240dfb1283ec57cbce647','expert','sums/5','');
INSERT INTO "evidence" VALUES('a8a32f186d8346b1b257e650338e923b','expert','kings/1','');
INSERT INTO "evidence" VALUES('02ffcf6b64654fd388d0c0b26ecb4067','gpt','units/9','');
INSERT INTO "evidence" VALUES('e03f5cdc4bd5402ab5b477c6a6c614a2','Bob','','');
CREATE TABLE graph_acts (
	seq INTEGER NOT NULL, 
	at VARCHAR NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "graph_acts" VALUES(1,'2026-11-24T14:57:32.879+00:00','Ann','merge','{"entity": "sun king", "into": "louis xiv"}','the same man');
INSERT INTO "graph_acts" VALUES(2,'2026-11-24T14:57:33.009+00:00','Bob','merge','{"entity": "fathom", "into": "versailles"}','a slip');
INSERT INTO "graph_acts" VALUES(3,'2026-11-24T14:57:33.010+00:00','Ann','unmerge','{"merge": 2}','no');
INSERT INTO "graph_acts" VALUES(4,'2026-11-24T14:57:33.011+00:00','Ann','declare','{"domain": "person", "functional": true, "inverse": "", "name": "father", "range": "", "symmetric": false}','');
INSERT INTO "graph_acts" VALUES(5,'2026-11-24T14:57:33.011+00:00','Ann','declare','{"domain": "", "functional": false, "inverse": "", "name": "spouse", "range": "", "symmetric": true}','');
CREATE TABLE history (
	seq INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	entry VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	reviewer VARCHAR NOT NULL, 
	item TEXT NOT NULL, 
	gained TEXT NOT NULL, 
	lost TEXT NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(revision) REFERENCES revisions (number)
);
INSERT INTO "history" VALUES(1,1,'571c09857fd948779576bf72d341abab','2026-11-24T14:57:32.098+00:00','expert','add','proposed','','{"aliases": ["the Sun King"], "kind": "fact", "object": "Louis XIII", "relation": "father", "subject": "Louis XIV", "text": "The father of Louis XIV was Louis XIII."}','[["expert", "kings/1", "a1b2"]]','[]','');
INSERT INTO "history" VALUES(2,1,'8427abf894af491fa78ccfc18586a857','2026-11-24T14:57:32.098+00:00','expert','add','proposed','','{"aliases": [], "kind": "fact", "object": "Versailles", "relation": "residence", "subject": "Sun King", "text": "The residence of Sun King was Versailles."}','[["expert", "kings/2", ""]]','[]','');
INSERT INTO "history" VALUES(3,1,'02ffcf6b64654fd388d0c0b26ecb4067','2026-11-24T14:57:32.098+00:00','expert','add','proposed','','{"aliases": ["fadom"], "kind": "fact", "object": "6 feet", "relation": "length", "subject": "fathom", "text": "A fathom is 6 feet."}','[["expert", "units/1", ""]]','[]','');
INSERT INTO "history" VALUES(4,1,'a8e52d82384240dfb1283ec57cbce647','2026-11-24T14:57:32.098+00:00','expert','add','proposed','','{"kind": "lesson", "text": "Read the question twice."}','[["expert", "sums/5", ""]]','[]','');
INSERT INTO "history" VALUES(5,1,'a8a32f186d8346b1b257e650338e923b','2026-11-24T14:57:32.098+00:00','expert','add','proposed','','{"clause": "grandfather(X, Z) :- father(X, Y), father(Y, Z).", "kind": "rule", "tests": [{"expect": "grandfather(a, c).", "expect_not": "", "given": "father(a, b). father(b, c)."}], "text": "A father''s father is a grandfather."}','[["expert", "kings/1", ""]]','[]','');
INSERT INTO "history" VALUES(6,2,'02ffcf6b64654fd388d0c0b26ecb4067','2026-11-24T14:57:32.228+00:00','auto','approve','approved','auto','{"aliases": ["fadom"], "kind": "fact", "object": "6 feet", "relation": "length", "subject": "fathom", "text": "A fathom is 6 feet."}','[]','[]','was proposed');
INSERT INTO "history" VALUES(7,2,'571c09857fd948779576bf72d341abab','2026-11-24T14:57:32.228+00:00','auto','approve','approved','auto','{"aliases": ["the Sun King"], "kind": "fact", "object": "Louis XIII", "relation": "father", "subject": "Louis XIV", "text": "The father of Louis XIV was Louis XIII."}','[]','[]','was proposed');
INSERT INTO "history" VALUES(8,2,'8427abf894af491fa78ccfc18586a857','2026-11-24T14:57:32.228+00:00','auto','approve','approved','auto','{"aliases": [], "kind": "fact", "object": "Versailles", "relation": "residence", "subject": "Sun King", "text": "The residence of Sun King was Versailles."}','[]','[]','was proposed');
INSERT INTO "history" VALUES(9,2,'a8a32f186d8346b1b257e650338e923b','2026-11-24T14:57:32.228+00:00','auto','approve','approved','auto','{"clause": "grandfather(X, Z) :- father(X, Y), father(Y, Z).", "kind": "rule", "tests": [{"expect": "grandfather(a, c).", "expect_not": "", "given": "father(a, b). father(b, c)."}], "text": "A father''s father is a grandfather."}','[]','[]','was proposed');
INSERT INTO "history" VALUES(10,3,'02ffcf6b64654fd388d0c0b26ecb4067','2026-11-24T14:57:32.513+00:00','gpt','merge','approved','auto','{"aliases": ["fadom", "fm"], "kind": "fact", "object": "6 feet", "relation": "length", "subject": "fathom", "text": "A fathom is 6 feet."}','[["gpt", "units/9", ""]]','[]','1 more evidence');
INSERT INTO "history" VALUES(11,3,'e03f5cdc4bd5402ab5b477c6a6c614a2','2026-11-24T14:57:32.513+00:00','Bob','add','proposed','','{"kind": "lesson", "text": "It''s “quoted”; DROP TABLE entries; --"}','[["Bob", "", ""]]','[]','');
INSERT INTO "history" VALUES(12,4,'e03f5cdc4bd5402ab5b477c6a6c614a2','2026-11-24T14:57:32.614+00:00','Ann','reject','rejected','Ann','{"kind": "lesson", "text": "It''s “quoted”; DROP TABLE entries; --"}','[]','[]','was proposed');
INSERT INTO "history" VALUES(13,5,'8427abf894af491fa78ccfc18586a857','2026-11-24T14:57:32.775+00:00','Ann','edit','approved','Ann','{"aliases": [], "kind": "fact", "object": "Versailles", "relation": "residence", "subject": "Sun King", "text": "The Sun King lived at Versailles."}','[]','[]','was c77dee7856a1ac5c');
INSERT INTO "history" VALUES(14,6,'8427abf894af491fa78ccfc18586a857','2026-11-24T14:57:33.139+00:00','Ann','revert','approved','auto','{"aliases": [], "kind": "fact", "object": "Versailles", "relation": "residence", "subject": "Sun King", "text": "The residence of Sun King was Versailles."}','[]','[]','without revision 5');
CREATE TABLE meta (
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema','2');
INSERT INTO "meta" VALUES('records','fact/1 lesson/1 rule/2');
CREATE TABLE names (
	item_id VARCHAR NOT NULL, 
	entry VARCHAR NOT NULL, 
	PRIMARY KEY (item_id, entry)
);
INSERT INTO "names" VALUES('2b98914fe9d520cf','a8e52d82384240dfb1283ec57cbce647');
INSERT INTO "names" VALUES('6051ddb8d4f11239','571c09857fd948779576bf72d341abab');
INSERT INTO "names" VALUES('69d1c600ae956c2a','a8a32f186d8346b1b257e650338e923b');
INSERT INTO "names" VALUES('a894fdcd4b42d8d0','02ffcf6b64654fd388d0c0b26ecb4067');
INSERT INTO "names" VALUES('c77dee7856a1ac5c','8427abf894af491fa78ccfc18586a857');
INSERT INTO "names" VALUES('2aeb8f40042cd901','02ffcf6b64654fd388d0c0b26ecb4067');
INSERT INTO "names" VALUES('a5e213dc56251209','e03f5cdc4bd5402ab5b477c6a6c614a2');
INSERT INTO "names" VALUES('cf2cd2b2d51c85e5','8427abf894af491fa78ccfc18586a857');
CREATE TABLE revisions (
	number INTEGER NOT NULL, 
	at VARCHAR NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	why TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "revisions" VALUES(1,'2026-11-24T14:57:32.099+00:00','expert','add','');
INSERT INTO "revisions" VALUES(2,'2026-11-24T14:57:32.353+00:00','auto','approve','');
INSERT INTO "revisions" VALUES(3,'2026-11-24T14:57:32.513+00:00','Bob, gpt','add, merge','by hand');
INSERT INTO "revisions" VALUES(4,'2026-11-24T14:57:32.614+00:00','Ann','reject','no lesson');
INSERT INTO "revisions" VALUES(5,'2026-11-24T14:57:32.775+00:00','Ann','edit','nicer');
INSERT INTO "revisions" VALUES(6,'2026-11-24T14:57:33.139+00:00','Ann','revert','as it was');
CREATE TABLE versions (
	name VARCHAR NOT NULL, 
	revision INTEGER NOT NULL, 
	at VARCHAR NOT NULL, 
	actor VARCHAR NOT NULL, 
	why TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "versions" VALUES('v1',2,'2026-11-24T14:57:32+00:00','Ann','as reviewed');
CREATE INDEX ix_entries_kind ON entries (kind);
CREATE INDEX ix_entries_status ON entries (status);
CREATE INDEX ix_names_entry ON names (entry);
CREATE INDEX ix_history_revision ON history (revision);
CREATE INDEX ix_history_entry ON history (entry);
CREATE TRIGGER history_no_update BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_no_delete BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER revisions_no_update BEFORE UPDATE ON revisions BEGIN SELECT RAISE(ABORT, 'revisions is append-only'); END;
CREATE TRIGGER revisions_no_delete BEFORE DELETE ON revisions BEGIN SELECT RAISE(ABORT, 'revisions is append-only'); END;
CREATE TRIGGER versions_no_update BEFORE UPDATE ON versions BEGIN SELECT RAISE(ABORT, 'versions is append-only'); END;
CREATE TRIGGER versions_no_delete BEFORE DELETE ON versions BEGIN SELECT RAISE(ABORT, 'versions is append-only'); END;
CREATE TRIGGER graph_acts_no_update BEFORE UPDATE ON graph_acts BEGIN SELECT RAISE(ABORT, 'the log of the graph is append-only'); END;
CREATE TRIGGER graph_acts_no_delete BEFORE DELETE ON graph_acts BEGIN SELECT RAISE(ABORT, 'the log of the graph is append-only'); END;
COMMIT;
