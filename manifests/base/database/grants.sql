-- Runs once, when the data folder is filled. The account has no right outside the two databases.
CREATE DATABASE IF NOT EXISTS mlpipeline;
CREATE DATABASE IF NOT EXISTS metadb;
GRANT ALL ON mlpipeline.* TO 'kfp'@'%';
GRANT ALL ON metadb.* TO 'kfp'@'%';
