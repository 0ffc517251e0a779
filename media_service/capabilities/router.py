"""`/v1/capabilities`: what the service takes, before anybody sends it anything. API room."""

from fastapi import APIRouter, Depends, Request

from media_service.capabilities.description import CapabilityDescription
from media_service.capabilities.schemas import Capabilities
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import AddressRateLimit

router = APIRouter(
    prefix="/v1", tags=["Operations"], dependencies=[Depends(AddressRateLimit(RateClass.READ))]
)


@router.get("/capabilities")
async def get_capabilities(request: Request) -> Capabilities:
    """What the service takes and makes: types, sizes, limits, presets, and which work is done now."""
    description: CapabilityDescription = request.app.state.capabilities
    return await description.describe()
