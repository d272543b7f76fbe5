"""The public record and its proofs. Its tiles stand beside, in `geodispatch/web/tiles.py`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from geodispatch.authority import Action
from geodispatch.errors import InvalidInput, NoRecordKey, NotFound
from geodispatch.record import ConsistencyProof, InclusionProof
from geodispatch.web.call import INT64, Call, Reply, Route


class TreeQuery(BaseModel):
    """Which tree."""

    model_config = ConfigDict(extra="forbid")

    size: Annotated[
        int | None, Field(ge=0, lt=2**63, description="of the tree, in leaves: the answer is final; newest if left out")
    ] = None


async def read_checkpoint(call: Call) -> Reply:
    """Return the signed note of the record as it is now (c2sp.org/tlog-checkpoint)."""
    return Reply(None, text=await call.service.record.checkpoint())


async def prove_inclusion(call: Call) -> Reply:
    """Return the leaf with this index, and the proof that it is in the record."""
    proof = await call.service.record.prove_inclusion(call.number("leaf"), call.query.size)
    return Reply(proof, is_final=call.query.size is not None)


async def prove_consistency(call: Call) -> Reply:
    """Return the proof that the record begins with the older one of this size: nothing was changed or taken away."""
    proof = await call.service.record.prove_consistency(call.number("tree"), call.query.size)
    return Reply(proof, is_final=call.query.size is not None)


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "record/checkpoint",
        read_checkpoint,
        Action.READ_PUBLIC,
        text_type="text/plain",
        errors=(NoRecordKey,),
    ),
    Route(
        "GET",
        "record/proof/inclusion/{id}",
        prove_inclusion,
        Action.READ_PUBLIC,
        query=TreeQuery,
        reply=InclusionProof,
        id_schema=INT64,
        errors=(InvalidInput, NotFound),
    ),
    Route(
        "GET",
        "record/proof/consistency/{id}",
        prove_consistency,
        Action.READ_PUBLIC,
        query=TreeQuery,
        reply=ConsistencyProof,
        id_schema=INT64,
        errors=(InvalidInput, NotFound),
    ),
)
