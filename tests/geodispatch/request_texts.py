"""Texts of requests, as agencies write them: bad ones with the rule that each breaks, and good ones.

Invented, in the style of posts that police departments published on neighbourhood apps.
"""

from __future__ import annotations

BAD: dict[str, tuple[str, ...]] = {
    "text-pressure": (
        "All residents of the block must submit their footage of Tuesday night. A vehicle was broken into on Maple.",
        "You are required to check your cameras for a grey sedan that passed between 9 and 10 PM on Friday.",
        "A catalytic converter was stolen overnight. Homeowners are expected to share any video from their cameras.",
        "We demand that everyone with a doorbell camera checks it for the person who broke the school's windows.",
        "Sharing is mandatory for owners within the marked area. The suspects left on foot towards the river.",
        "Please hand over your footage of the shooting near the car wash. It happened a little after midnight.",
        "Failure to respond to this request may delay the arrest of an armed robber who is still at large.",
        "Several of you have ignored us. Ignoring this request only helps the people who burn down garages.",
        "Non-compliance makes our work harder. We look for footage of a white van near the school on Monday.",
        "If we do not receive the video we will subpoena it. The burglary took place on Sunday at noon.",
        "Anyone who deletes recordings of the assault could be charged. Check your cameras from 2 to 4 PM.",
        "Withholding footage of this crime is obstruction of justice. The stabbing took place outside the arcade.",
        "Detectives will return with a search warrant where video is not shared voluntarily. Two cars were torched.",
        "It is your civic duty to share what your camera saw on the night of the homicide on Linden Avenue.",
        "We ask every household, as is your responsibility, to look through recordings of the fire at the depot.",
        "If you have nothing to hide, share your camera's recordings of Saturday evening with our detectives.",
        "Good neighbors share. A porch pirate took three parcels on Cedar Lane on Thursday at lunch time.",
        "Do the right thing and send us your footage of the hit and run at the crossing of 4th and Pine.",
        "Your family could be next. Burglars entered two homes through unlocked windows on Wednesday night.",
        "Do not let the criminals win: look at your cameras for a man pulling car doors on Birch Street.",
        "A reward of up to $5,000 is offered for footage that leads to an arrest in the shooting on Grand Avenue.",
        "Owners who share their clips will receive a gift card. A trailer with tools was taken from a building site.",
        "There is a $500 reward for video of the vandals who damaged the playground on Sunday evening.",
        "URGENT: we need video of the blue pickup that fled from the robbery at the gas station.",
        "Please share your footage immediately. A motorcycle was stolen from the garage behind the bakery.",
        "Act now: the suspect in a series of arsons was seen near the lake last night around eleven.",
        "You have 24 hours to send us what your cameras recorded near the scene of the carjacking.",
        "Time is running out. We look for footage of a silver hatchback that struck a cyclist on Harbor Drive.",
        "This is our final notice to camera owners near the park about the assault on June 3.",
        "Second request: most of you have not answered about the burglary at the pharmacy.",
        "Officers will visit homes that do not respond. The theft of the boat motor happened on Monday night.",
        "We will know who looked the other way when the storefront windows were smashed on Friday.",
        "Your neighbors have already shared their video of the break-in. Only yours is missing.",
        "Households that decline will be noted in our report on the shooting behind the stadium.",
        "No excuses. Everyone on the street has a camera, and somebody took the scooters on Thursday.",
        "Help us find the arsonist or else the whole block will burn one night. The fire began at 3 AM.",
        "Check your cameras!!! Somebody stole the church's copper gutters between Friday and Sunday.",
        "People who saw the fight need to come forward and share videos of what happened outside the bar.",
        "Your silence protects a killer. Share what your camera saw near the underpass on Tuesday at dusk.",
    ),
    "text-race-only": (
        "We are looking for two Black males seen near the garages on Elm Street on Tuesday between 10 and 11 PM.",
        "The suspect is described as a Hispanic man in his twenties who left on foot after the theft.",
        "A white female was seen taking parcels from porches along the 300 block of Oak Street on Friday.",
        "Suspects: 3 B/M, fled southbound on foot after the robbery at the corner store.",
        "Look for an Asian man who walked past the school several times before the window was broken.",
        "A group of Black teens was seen running from the parking lot after the car alarm went off.",
        "The burglar was possibly Latino. Footage from the alley behind the 1200 block would help.",
        "A Middle Eastern male entered the yard and left with a bicycle pump on Monday around noon.",
        "The man appeared to be Mexican and drove off before anybody could speak with him.",
        "A dark-skinned individual was seen trying door handles on Spruce Street early on Sunday.",
        "A foreign-looking couple asked for money and later a purse was found to be missing.",
        "Suspect's race: Black. He left the scene on foot. Time of the theft: between 4 and 5 PM.",
        "A Black male in a hoodie was seen near the cars. Footage from Tuesday night would help us.",
        "Two WM left the liquor store without paying. They went north on Third towards the bridge.",
        "A person of Arab descent was seen photographing the building two days before the fire.",
        "A Native American woman is wanted for questioning about the theft from the laundry on Main.",
    ),
    "text-victim": (
        "The victim, Maria Lopez, was walking home from work when two people took her bag on Ninth Street.",
        "Footage of the assault on Friday would help. The victim is identified as John Carter of this town.",
        "Angela Torres was stabbed outside the cinema on Saturday at about 11 PM. We look for footage of the exit.",
        "Mrs. Henderson was robbed at the bus stop on Wednesday morning by someone on a red scooter.",
        "A 12-year-old girl was assaulted behind the gym on Monday afternoon. Cameras facing the lane may have "
        "seen it.",
        "The 14-year-old victim ran to the library after the attack. We look for a person with a green rucksack.",
        "The victim, a 9 year old boy, was followed from the playground to the corner of Elm and Second.",
        "The victim lives at the corner house and was asleep when the burglars came through the cellar.",
        "The victim's home is the yellow one opposite the bakery. Somebody threw stones at it on Sunday.",
        "Two men attacked David Nguyen near the skate park. They left in a beige van with a broken tail light.",
        "Detectives look into the murder of Lisa Brown. Cameras near the canal may have seen a person with a bicycle.",
        "The complainant, Mr. Patel, saw a grey sedan leave. Footage of the sedan would help.",
        "Someone robbed a 15-year-old of his phone outside the school on Thursday at 3 PM.",
        "The survivor works at the diner on Fourth Street and was followed home from there on Tuesday night.",
        "The victim's phone number was used by the thief afterwards. We look for footage of the bus stop.",
        "Victim aged 16 was punched near the tram stop. Cameras along the line may have recorded it.",
    ),
    "text-personal-data": (
        "A red pickup, license plate ABC 1234, was seen leaving the fire on Monday. Footage of it would help.",
        "Look for a silver sedan with plate 7KLM392 that circled the block before the burglary on Tuesday.",
        "The car, partial plate 4TR8, went north after it struck the cyclist at the roundabout.",
        "Call Mrs. Jensen at (555) 203-4417 if your camera saw who took the statue from her garden.",
        "The owner of the stolen bicycle can be reached at 555-0187-was changed; use 555-203-4417 instead.",
        "Send clips of the theft to the shop owner at bakery.owner@gmail.com or through this request.",
        "The burglary was at 1427 Maple Street on Sunday between 8 AM and noon while the family was away.",
        "A parcel was taken from the porch of 88 W. Harrison Ave on Thursday shortly after the delivery.",
        "Somebody fired shots outside 512 5th Street. Cameras on the other side of the road may have seen it.",
        "The suspect lives at 40 of the same lane, and may have come home between 5 and 6 PM.",
        "The thief ran into the building and up to apartment 4B, where the trail ended on Friday evening.",
        "The stolen car belongs to a man born on March 4 1961 and was last seen near the depot.",
        "A wallet with a card, SSN 212-44-9031, was taken from a locker at the pool on Saturday.",
        "Broken glass was found at the residence of Tom Fielding. We look for footage of the front walk.",
        "A black SUV, tag number HRT-4821, left the gas station without paying on Wednesday at 9 PM.",
        "The scooter was taken from 23 oak lane during the night from Monday to Tuesday.",
    ),
}

GOOD: tuple[str, ...] = (
    "A hand cart was taken from the yard behind the market. Footage of the pavement would help.",
    "A grey van struck a cyclist and drove on. We look for footage of the van before or after.",
    "On Tuesday between 9:15 and 10:40 PM somebody broke into three parked cars on the 400 block of Oak Street. "
    "Footage of people on foot near the cars would help. Sharing is voluntary.",
    "We are investigating a burglary at a pharmacy on Main Street. A person in a dark raincoat carried a crowbar "
    "and left "
    "towards the canal. If your camera faces the canal path, recordings from 2 to 3 AM may show it.",
    "Two people on one electric scooter took a purse near the tram stop on Friday at about 6:20 PM. The rider wore "
    "a yellow "
    "helmet. They left along Harbor Drive.",
    "A black SUV with a damaged left headlight left the scene of a collision at Pine and 4th without stopping.",
    "The suspect demanded cash from the clerk, pointed a handgun at him and fled on foot to the north.",
    "A white pickup with a ladder rack was seen at the building site where copper pipe was stolen over the weekend.",
    "The man wore a black jacket, a black cap and white sneakers and carried a blue sports bag.",
    "A Black man of about 40, bald, heavyset, in a red soccer jersey and grey shorts, left the store with a case "
    "of tools.",
    "The suspect is a white woman, about 5'4\", with short red hair, a green parka and a tattoo of a rose on her neck.",
    "We look for two Hispanic men. One wore an orange work vest and a white helmet, the other blue jeans and brown "
    "boots; "
    "they drove a flatbed truck.",
    "An Asian teenager with long braids, a denim jacket and a skateboard spoke with the person who took the dog.",
    "A fire was set in a bin behind the library on Sunday at 4 AM. Anyone walking on Elm Street at that time may have "
    "seen who did it.",
    "The vehicle may be a 2014 Ford F-150, dark green, with a missing tailgate and no front plate.",
    "A GMC 1500 pickup towing a boat trailer left the marina at about 1:30 AM.",
    "The car had out-of-state plates and a roof box. It turned left from Grand Avenue into the alley.",
    "Missing: an elderly man with a walking cane, grey coat and brown hat. He left the care home at 7 AM on foot.",
    "A girl is missing since Thursday evening. She wore a purple raincoat and carried a violin case. Footage from "
    "the paths "
    "around the lake between 5 and 8 PM would help us find her.",
    "Please call our tip line at 555-203-4417 if you would rather speak with a detective.",
    "Information can also be left with Crime Stoppers at 1-800-222-8477.",
    "Questions go to Detective Rossi at 555-203-4400, case 2026-004711.",
    "The police non-emergency number is (555) 203-4000.",
    "Clips can be sent through this request, or to tips@springfieldpolice.example.",
    "Shots were fired near the basketball court on Saturday at 11:52 PM. Nobody was hurt. We look for footage of "
    "cars that "
    "left the parking lot within ten minutes.",
    "A victim of a street robbery described the robber as tall, in a grey hooded sweatshirt, with a silver bicycle.",
    "The victim was not injured. Two people in ski masks left in a beige minivan with sliding doors.",
    "The victim's phone was stolen and thrown into a hedge near the school.",
    "A resident was followed from the bus stop on Ninth Street. The person following wore a long coat and walked "
    "with a limp.",
    "Corner Market was robbed on Wednesday shortly before closing. The robber left through the back door.",
    "A statue was stolen from the garden of the town hall. It is of bronze and weighs about 60 pounds.",
    "A driver hit a parked car on the 1200 block of Linden Avenue and left. The car is likely dark blue and has a "
    "broken "
    "mirror.",
    "The window of the bakery was broken with a stone on Monday between 1 and 2 AM.",
    "An off-duty officer saw a person climb over the fence of the depot at about 3:10 AM.",
    "We have arrested one suspect on a warrant and look for footage of a second person who ran towards the bridge.",
    "The suspect left immediately after the alarm went off and turned into the alley.",
    "A man threatened a cashier with a knife. He wore a camouflage jacket and had a full beard.",
    "Someone drained fuel from trucks on the lot next to the freight terminal during the night of June 14.",
    "A bicycle trailer for children was taken from a shed. It is red and grey, with one wheel that squeaks.",
    "The stolen motorcycle is a red Honda with a torn seat. It was pushed along Cedar Lane around midnight.",
    "Graffiti was sprayed on four buses at the depot. The persons came over the embankment with backpacks.",
    "A van stopped at the corner of Elm and Second, two people got out and took the catalytic converter of a "
    "parked car.",
    "At 10:40 Oak Street was closed for a parade, so the car must have left by Birch Street.",
    "A person went from door to door and said he was from the water works. He carried a clipboard and wore a grey "
    "uniform.",
    "We look for recordings of the crossing of Route 9 and Mill Road between 7:00 and 7:30 AM on June 3.",
    "Two horses were let out of their stable. We look for footage of a small car with a loud exhaust.",
    "Somebody damaged the playground: the swings were cut and a bench was burnt. It happened after 9 PM.",
    "A delivery driver lost a bag of parcels when a person on a black bicycle took it from the open van.",
    "The person used an urgent care clinic's parking lot to leave a stolen sedan. We look for who got out of it.",
    "Tools were taken from a white van with a company logo, parked near the tennis courts.",
    "A 45-year-old man was struck by a car at the crossing and is recovering. The car is a silver hatchback.",
    "A cyclist was hurt when a delivery robot was pushed into the road. We look for footage of who pushed it.",
    "The robber was about six feet tall and thin, wore blue overalls, and spoke with a low voice.",
    "The dog walker saw a person with a flashlight in the yard of the closed school at half past two.",
    "Cameras that face the street, not the homes across it, are the most useful. You decide what you share, if "
    "anything.",
    "You may share a clip, decline, or leave this alone; nobody learns which.",
    "We look for a light brown car with a white roof and a black stripe. It was seen twice on the 700 block of "
    "Spruce Street.",
    "A package with medicine was taken from the steps of an apartment building near the park on Friday at noon.",
    "A house under renovation was entered through the roof. Copper, two sinks and a boiler are missing.",
    "A person in a wheelchair was robbed of a phone near the station. The robber ran down the stairs to platform 2.",
    "The storage hall on the 50 block of Dock Road was opened with bolt cutters; four outboard motors were taken.",
    "Somebody poured paint over the memorial between Sunday at 10 PM and Monday at 5 AM. A can was left behind.",
    "Two groups fought outside the stadium after the match. We look for footage of a man who swung a metal bar; he "
    "wore a "
    "striped scarf and a brown leather jacket.",
    "A truck with a crane took a container from the yard at 4 AM. Its engine was loud and one lamp was out.",
    "The taxi in question has a dented door and an advertisement on the roof. It was near Harbor Drive at 1:15 AM.",
    "It is the third fire of this kind in a month. We look for footage of somebody carrying a canister.",
)
