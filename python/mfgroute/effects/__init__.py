"""The query database of effects: what each sink has posted, in SQL.

The truth is the node's own log; this is made of its lines and answers questions that a log is slow at.

* `files`: their names in a data folder
* `lines`: one change of an effect, as the log hands it to followers
* `tables`: the tables and their versions
* `database`: takes lines in, each exactly once
* `questions`: what is asked
"""
