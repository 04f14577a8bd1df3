"""Multiscale combinatorial grouping (MCG): object proposals with region masks, from pixels.

After Pont-Tuset, Arbelaez, Barron, Marques and Malik, TPAMI 2017; written anew, with other ingredients
(docs/proposals.md). `method.mcg_proposals` is the whole of it, `params.McgParams` its parameters.
"""
