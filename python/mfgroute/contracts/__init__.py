"""What a project says about its contracts, and what hangs on each.

``documents``  the YAML files of a project and its packs as they stand, from disk or from a commit
``links``      which sources make an event, and which routes and sinks take it
``commit``     a project as it stood in a commit
``lock``       released versions, which stay as they are
``changes``    what became of contracts, and whom it concerns
``catalogue``  a page of Markdown about them
``asyncapi``   the contracts as an AsyncAPI 3 document
"""
