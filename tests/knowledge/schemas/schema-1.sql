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
INSERT INTO "entries" VALUES('e1cf6e1abe1a435fb658a33f0a20aec9','72bf056976d43f7b7aef6a46fc4e6125','2aeb8f40042cd901','fact','approved','auto','a fathom is 6 feet. fathom length 6 feet fadom fm','{"aliases": ["fadom", "fm"], "kind": "fact", "object": "6 feet", "relation": "length", "subject": "fathom", "text": "A fathom is 6 feet."}');
INSERT INTO "entries" VALUES('c116df7a9922408293996a8e611c36e1','ac7c3cc7c240156c0916b2fb2b256401','88622a3b1172a34b','lesson','rejected','Bob','count the apples before adding them.','{"kind": "lesson", "text": "Count the apples before adding them."}');
INSERT INTO "entries" VALUES('31f73accc7e44903a86f70f0ca35149f','5a8dd8f2da1636ded14c0a29bf4114c6','fe944db956efa6cc','rule','approved','auto','if a ship is measured, use fathoms.','{"clause": "unit(X, fathom) :- ship(X).", "kind": "rule", "text": "If a ship is measured, use fathoms."}');
INSERT INTO "entries" VALUES('b962526fdd0140bbabe9e8d1a4c3110f','e3a5697fc38cfeecd637bf4610fdf70a','26e3f8315a367c41','fact','approved','Ann','a perch is 16.5 feet. perch length 16.5 feet','{"aliases": [], "kind": "fact", "object": "16.5 feet", "relation": "length", "subject": "perch", "text": "A perch is 16.5 feet."}');
INSERT INTO "entries" VALUES('3c715132f8f441ba962abf5cff415c8f','008542a6177eb13146e74528e72133b4','a5e213dc56251209','lesson','approved','Ann','it''s “quoted”; drop table entries; --','{"kind": "lesson", "text": "It''s “quoted”; DROP TABLE entries; --"}');
INSERT INTO "entries" VALUES('3636fc95ff0b41ebaaa829c1d026f212','8fecf76577a943e72340a98e1e593336','2b98914fe9d520cf','lesson','proposed','','read the question twice.','{"kind": "lesson", "text": "Read the question twice."}');
CREATE TABLE evidence (
	entry VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	example VARCHAR NOT NULL, 
	attempt VARCHAR NOT NULL, 
	PRIMARY KEY (entry, source, example, attempt), 
	FOREIGN KEY(entry) REFERENCES entries (uid)
);
INSERT INTO "evidence" VALUES('e1cf6e1abe1a435fb658a33f0a20aec9','expert','units/1','a1b2');
INSERT INTO "evidence" VALUES('c116df7a9922408293996a8e611c36e1','expert','sums/4','');
INSERT INTO "evidence" VALUES('31f73accc7e44903a86f70f0ca35149f','gpt','units/7','');
INSERT INTO "evidence" VALUES('b962526fdd0140bbabe9e8d1a4c3110f','expert','units/2','');
INSERT INTO "evidence" VALUES('e1cf6e1abe1a435fb658a33f0a20aec9','gpt','units/9','');
INSERT INTO "evidence" VALUES('3c715132f8f441ba962abf5cff415c8f','Ann','','');
INSERT INTO "evidence" VALUES('3636fc95ff0b41ebaaa829c1d026f212','expert','sums/5','');
CREATE TABLE history (
	seq INTEGER NOT NULL, 
	entry VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	item TEXT NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(entry) REFERENCES entries (uid)
);
INSERT INTO "history" VALUES(1,'e1cf6e1abe1a435fb658a33f0a20aec9','2026-11-24T11:39:37.459+00:00','expert','add','proposed','{"aliases": ["fadom"], "kind": "fact", "object": "6 feet", "relation": "length", "subject": "fathom", "text": "A fathom is 6 feet."}','');
INSERT INTO "history" VALUES(2,'c116df7a9922408293996a8e611c36e1','2026-11-24T11:39:37.459+00:00','expert','add','proposed','{"kind": "lesson", "text": "Count the apples before adding them."}','');
INSERT INTO "history" VALUES(3,'31f73accc7e44903a86f70f0ca35149f','2026-11-24T11:39:37.459+00:00','gpt','add','proposed','{"clause": "unit(X, fathom) :- ship(X).", "kind": "rule", "text": "If a ship is measured, use fathoms."}','');
INSERT INTO "history" VALUES(4,'b962526fdd0140bbabe9e8d1a4c3110f','2026-11-24T11:39:37.459+00:00','expert','add','proposed','{"aliases": [], "kind": "fact", "object": "16 feet", "relation": "length", "subject": "perch", "text": "A perch is 16 feet."}','');
INSERT INTO "history" VALUES(5,'e1cf6e1abe1a435fb658a33f0a20aec9','2026-11-24T11:39:37.462+00:00','gpt','merge','proposed','{"aliases": ["fadom", "fm"], "kind": "fact", "object": "6 feet", "relation": "length", "subject": "fathom", "text": "A fathom is 6 feet."}','1 more evidence');
INSERT INTO "history" VALUES(6,'31f73accc7e44903a86f70f0ca35149f','2026-11-24T11:39:37.464+00:00','auto','approve','approved','{"clause": "unit(X, fathom) :- ship(X).", "kind": "rule", "text": "If a ship is measured, use fathoms."}','was proposed');
INSERT INTO "history" VALUES(7,'b962526fdd0140bbabe9e8d1a4c3110f','2026-11-24T11:39:37.464+00:00','auto','approve','approved','{"aliases": [], "kind": "fact", "object": "16 feet", "relation": "length", "subject": "perch", "text": "A perch is 16 feet."}','was proposed');
INSERT INTO "history" VALUES(8,'c116df7a9922408293996a8e611c36e1','2026-11-24T11:39:37.464+00:00','auto','approve','approved','{"kind": "lesson", "text": "Count the apples before adding them."}','was proposed');
INSERT INTO "history" VALUES(9,'e1cf6e1abe1a435fb658a33f0a20aec9','2026-11-24T11:39:37.464+00:00','auto','approve','approved','{"aliases": ["fadom", "fm"], "kind": "fact", "object": "6 feet", "relation": "length", "subject": "fathom", "text": "A fathom is 6 feet."}','was proposed');
INSERT INTO "history" VALUES(10,'b962526fdd0140bbabe9e8d1a4c3110f','2026-11-24T11:39:37.465+00:00','Ann','edit','approved','{"aliases": [], "kind": "fact", "object": "16.5 feet", "relation": "length", "subject": "perch", "text": "A perch is 16.5 feet."}','was 5e1ee0ded98bf17e');
INSERT INTO "history" VALUES(11,'c116df7a9922408293996a8e611c36e1','2026-11-24T11:39:37.466+00:00','Bob','reject','rejected','{"kind": "lesson", "text": "Count the apples before adding them."}','was approved');
INSERT INTO "history" VALUES(12,'3c715132f8f441ba962abf5cff415c8f','2026-11-24T11:39:37.467+00:00','Ann','add','approved','{"kind": "lesson", "text": "It''s “quoted”; DROP TABLE entries; --"}','');
INSERT INTO "history" VALUES(13,'3636fc95ff0b41ebaaa829c1d026f212','2026-11-24T11:39:37.467+00:00','expert','add','proposed','{"kind": "lesson", "text": "Read the question twice."}','');
CREATE TABLE meta (
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema','1');
CREATE TABLE names (
	item_id VARCHAR NOT NULL, 
	entry VARCHAR NOT NULL, 
	PRIMARY KEY (item_id, entry), 
	FOREIGN KEY(entry) REFERENCES entries (uid)
);
INSERT INTO "names" VALUES('a894fdcd4b42d8d0','e1cf6e1abe1a435fb658a33f0a20aec9');
INSERT INTO "names" VALUES('88622a3b1172a34b','c116df7a9922408293996a8e611c36e1');
INSERT INTO "names" VALUES('fe944db956efa6cc','31f73accc7e44903a86f70f0ca35149f');
INSERT INTO "names" VALUES('5e1ee0ded98bf17e','b962526fdd0140bbabe9e8d1a4c3110f');
INSERT INTO "names" VALUES('2aeb8f40042cd901','e1cf6e1abe1a435fb658a33f0a20aec9');
INSERT INTO "names" VALUES('400b3379ef025d02','e1cf6e1abe1a435fb658a33f0a20aec9');
INSERT INTO "names" VALUES('26e3f8315a367c41','b962526fdd0140bbabe9e8d1a4c3110f');
INSERT INTO "names" VALUES('a5e213dc56251209','3c715132f8f441ba962abf5cff415c8f');
INSERT INTO "names" VALUES('2b98914fe9d520cf','3636fc95ff0b41ebaaa829c1d026f212');
CREATE INDEX ix_entries_kind ON entries (kind);
CREATE INDEX ix_entries_status ON entries (status);
CREATE INDEX ix_names_entry ON names (entry);
CREATE INDEX ix_history_entry ON history (entry);
CREATE TRIGGER history_no_update BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_no_delete BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
COMMIT;
