"""The rules that bind requests: pure functions over plain values, each of which returns every breach it finds.

    limits          the numbers, how an operator tightens them, and the versions of both
    rule            the rules' names, which never change, and what they mean
    measure         numbers in the words of whoever draws a fence
    fence, window, offence, case, contact, jurisdiction, ordinance, overlap, text      one kind of rule each
    tile            what is known of a neighbourhood as a whole, so that most fences there need no GEOS
    draft           all of them over as much of a request as there is

Whoever matches as a library is not bound by them; see `CameraIndex`.
"""
